/* tls_server.h - a TLS server on loopback with a certificate of its own, for tests of who is trusted. */
#ifndef TESTS_LIB_GIT_TLS_SERVER_H
#define TESTS_LIB_GIT_TLS_SERVER_H

#include <stdint.h>

struct tls_server;

/* Certificate for "localhost", written to `ca_file`. Every request is answered 404. */
struct tls_server *tls_server_start(const char *ca_file);
void tls_server_stop(struct tls_server *s);
uint16_t tls_server_port(const struct tls_server *s);
/* Requests that got as far as a head; their credentials would have been readable. */
unsigned tls_server_requests(struct tls_server *s);

#endif
