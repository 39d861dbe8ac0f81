/* The only ways out: gateways to Unix sockets, and the filtering proxy. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sandbox/proxy.h"
#include "tests/sandbox/run_box.h"
#include "tests/support/localhost.h"

/* Echo every connection of `listener` until killed; a child per connection. */
static pid_t serve_echo(int listener)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fork() == 0) {
            static char buf[65536];
            ssize_t n;

            prctl(PR_SET_PDEATHSIG, SIGKILL);
            while ((n = read(fd, buf, sizeof buf)) > 0) {
                for (ssize_t at = 0, w; at < n; at += w) {
                    w = write(fd, buf + at, (size_t)(n - at));
                    if (w < 0)
                        _exit(1);
                }
            }
            _exit(0);
        }
        close(fd);
    }
}

static int listen_unix(char *path, size_t size)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(path, size, "%.60s/gw-%d.sock", box_home(), (int)getpid());
    memcpy(addr.sun_path, path, strlen(path));
    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    cr_assert_eq(chmod(path, 0777), 0);
    cr_assert_eq(listen(fd, 64), 0);
    return fd;
}

static int listen_tcp(unsigned *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
    cr_assert_eq(listen(fd, 64), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

static bool has_python(void)
{
    if (system("command -v python3 >/dev/null") == 0)
        return true;
    fprintf(stderr, "SKIPPED: this host has no python3\n");
    return false;
}

static const char echo_client[] =
    "import socket,threading,os\n"
    "ok=[]\n"
    "def one(i):\n"
    " s=socket.create_connection(('127.0.0.1',4000)); data=os.urandom(1000000+i)\n"
    " def w():\n"
    "  s.sendall(data); s.shutdown(socket.SHUT_WR)\n"
    " t=threading.Thread(target=w); t.start(); got=b''\n"
    " while True:\n"
    "  d=s.recv(65536)\n"
    "  if not d: break\n"
    "  got+=d\n"
    " t.join(); ok.append(got==data)\n"
    "ts=[threading.Thread(target=one,args=(i,)) for i in range(8)]\n"
    "[t.start() for t in ts]; [t.join() for t in ts]\n"
    "print(ok.count(True))\n";

Test(net, gateway_carries_many_connections_unchanged)
{
    char path[108], gateway[160];
    int listener;
    pid_t server;

    if (!has_python())
        return;
    listener = listen_unix(path, sizeof path);
    server = serve_echo(listener);
    snprintf(gateway, sizeof gateway, "%s:4000", path);
    for (int user = 0; user < 2; user++) {
        struct box_run run;

        if (!box_can(user))
            continue;
        run =
            BOX(user, "--gateway", gateway, "--timeout", "60s", "--", "python3", "-c", echo_client);
        cr_expect_str_eq(run.out, "8\n", "%s%s", run.err, run.result);
        box_run_release(&run);
    }
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    close(listener);
}

Test(net, gateway_without_a_server_ends_the_connection)
{
    struct box_run run;

    if (!has_python())
        return;
    run = BOX(
        false, "--gateway", "/no/such/socket:4000", "--timeout", "20s", "--", "python3", "-c",
        "import socket\ns=socket.create_connection(('127.0.0.1',4000))\nprint(len(s.recv(10)))");
    cr_expect_str_eq(run.out, "0\n", "%s", run.err);
    box_run_release(&run);
}

/* Speaks to the proxy by hand: sends its first argument, prints the status and, on 200, an echo
 * through the tunnel. */
static const char proxy_client[] =
    "import os,socket,sys\n"
    "h,p=os.environ['HTTPS_PROXY'][7:].split(':')\n"
    "s=socket.create_connection((h,int(p)))\n"
    "s.sendall(sys.argv[1].encode().decode('unicode_escape').encode('latin1'))\n"
    "b=b''\n"
    "while b'\\r\\n\\r\\n' not in b:\n"
    " d=s.recv(4096)\n"
    " if not d: break\n"
    " b+=d\n"
    "print(b.split(b' ')[1].decode() if b' ' in b else 'closed')\n"
    "if b.startswith(b'HTTP/1.1 200'):\n"
    " s.sendall(b'through'); print(s.recv(100).decode())\n";

static void ask_proxy(const char *allow, const char *request, const char *want, const char *refused)
{
    struct box_run run = BOX(false, "--net-allow", allow, "--timeout", "40s", "--", "python3", "-c",
                             proxy_client, request);

    cr_expect_str_eq(run.out, want, "%s with %s: %s%s", request, allow, run.out, run.err);
    if (refused)
        cr_expect(box_result_has(&run, refused), "%s: %s", request, run.result);
    else
        cr_expect(box_result_has(&run, "\"netRefused\":[]"), "%s: %s", request, run.result);
    box_run_release(&run);
}

Test(net, proxy_lets_only_listed_hosts_through)
{
    unsigned port;
    int listener;
    pid_t server;
    char allow[64], request[200];

    if (!has_python())
        return;
    listener = listen_tcp(&port);
    server = serve_echo(listener);
    snprintf(allow, sizeof allow, "127.0.0.1:%u", port);

    snprintf(request, sizeof request, "CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n", allow,
             allow);
    ask_proxy(allow, request, "200\nthrough\n", NULL);
    /* The port counts. */
    ask_proxy(allow, "CONNECT 127.0.0.1:1 HTTP/1.1\\r\\n\\r\\n", "403\n", "\"127.0.0.1:1\"");
    ask_proxy("example.com", "CONNECT evil.example:443 HTTP/1.1\\r\\n\\r\\n", "403\n",
              "\"evil.example:443\"");
    ask_proxy("example.com", "CONNECT 169.254.169.254:80 HTTP/1.1\\r\\n\\r\\n", "403\n",
              "\"169.254.169.254:80\"");
    ask_proxy("example.com", "GET http://metadata.internal/x HTTP/1.1\\r\\n\\r\\n", "403\n",
              "\"metadata.internal:80\"");
    ask_proxy("example.com", "GET / HTTP/1.1\\r\\n\\r\\n", "400\n", NULL);
    ask_proxy("example.com", "CONNECT example.com:443@evil HTTP/1.1\\r\\n\\r\\n", "400\n", NULL);
    ask_proxy("example.com", "\\x00\\x01\\x02\\r\\n\\r\\n", "400\n", NULL);

    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    close(listener);
}

Test(net, proxy_refuses_a_listed_name_that_points_at_the_host_itself)
{
    if (!localhost_is_known())
        cr_skip_test(LOCALHOST_MISSING);
    if (!has_python())
        return;
    ask_proxy("localhost:9", "CONNECT localhost:9 HTTP/1.1\\r\\n\\r\\n", "403\n",
              "\"localhost:9\"");
}

Test(net, proxy_parser_takes_what_it_must_and_no_more)
{
    static const struct {
        const char *head;
        bool ok, connect;
        const char *host;
        unsigned port;
    } heads[] = {
        {"CONNECT example.com:443 HTTP/1.1\r\n\r\n", true, true, "example.com", 443},
        {"CONNECT EXAMPLE.com.:443 HTTP/1.0\r\n\r\n", true, true, "example.com", 443},
        {"CONNECT [::1]:8080 HTTP/1.1\r\n\r\n", true, true, "::1", 8080},
        {"GET http://example.com/x HTTP/1.1\r\n\r\n", true, false, "example.com", 80},
        {"GET http://example.com:81 HTTP/1.1\r\n\r\n", true, false, "example.com", 81},
        {"CONNECT example.com HTTP/1.1\r\n\r\n", false, false, "", 0},
        {"CONNECT example.com:0 HTTP/1.1\r\n\r\n", false, false, "", 0},
        {"CONNECT example.com:65536 HTTP/1.1\r\n\r\n", false, false, "", 0},
        {"CONNECT user@example.com:443 HTTP/1.1\r\n\r\n", false, false, "", 0},
        {"CONNECT ex ample.com:443 HTTP/1.1\r\n\r\n", false, false, "", 0},
        {"GET https://example.com/ HTTP/1.1\r\n\r\n", false, false, "", 0},
        {"GET http:///x HTTP/1.1\r\n\r\n", false, false, "", 0},
        {"CONNECT :443 HTTP/1.1\r\n\r\n", false, false, "", 0},
        {"CONNECT example.com:443 HTTP/2\r\n\r\n", false, false, "", 0},
        {"\r\n\r\n", false, false, "", 0},
    };

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct proxy_request request;
        bool ok = proxy_parse_request(heads[i].head, strlen(heads[i].head), &request);

        cr_expect_eq(ok, heads[i].ok, "%s", heads[i].head);
        if (ok && heads[i].ok) {
            cr_expect_eq(request.connect, heads[i].connect);
            cr_expect_str_eq(request.host, heads[i].host);
            cr_expect_eq(request.port, heads[i].port);
        }
    }
}

Test(net, addresses_of_the_inside_are_refused)
{
    static const struct {
        const char *address;
        bool plain, with_private;
    } rows[] = {
        {"8.8.8.8", true, true},
        {"127.0.0.1", false, false},
        {"127.255.255.255", false, false},
        {"10.1.2.3", false, true},
        {"172.16.0.1", false, true},
        {"172.32.0.1", true, true},
        {"192.168.1.1", false, true},
        {"169.254.169.254", false, false},
        {"0.0.0.0", false, false},
        {"224.0.0.1", false, false},
        {"255.255.255.255", false, false},
        {"100.64.0.1", false, true},
        {"2606:4700::1111", true, true},
        {"::1", false, false},
        {"::", false, false},
        {"::ffff:127.0.0.1", false, false},
        {"::ffff:8.8.8.8", true, true},
        {"fe80::1", false, false},
        {"fd00::1", false, true},
        {"ff02::1", false, false},
        {"64:ff9b::7f00:1", false, false},
        {"2002:7f00:1::", false, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6};
        struct sockaddr_in four = {.sin_family = AF_INET};
        const struct sockaddr *addr = (const struct sockaddr *)&four;

        if (inet_pton(AF_INET, rows[i].address, &four.sin_addr) != 1) {
            cr_assert_eq(inet_pton(AF_INET6, rows[i].address, &six.sin6_addr), 1);
            addr = (const struct sockaddr *)&six;
        }
        cr_expect_eq(proxy_address_ok(addr, false), rows[i].plain, "%s", rows[i].address);
        cr_expect_eq(proxy_address_ok(addr, true), rows[i].with_private, "%s with private",
                     rows[i].address);
    }
}
