#include "tests/support/name_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"

#define HEAD 12
#define TYPE_A 1

/* The resolver's patience: 1 + 2 + 4 + 8 s. */
static const char resolver[] = "nameserver 127.0.0.1\noptions timeout:1 attempts:4\n";
static const char order_of_sources[] = "hosts: files dns\n";

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        (void)close(fd);
    return ok;
}

void name_server_become_root(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    PJ_CLEANUP(pj_freep) char *users = pj_asprintf("0 %u 1", uid);
    PJ_CLEANUP(pj_freep) char *groups = pj_asprintf("0 %u 1", gid);

    if (uid == 0 || unshare(CLONE_NEWUSER) < 0)
        return;
    (void)!(write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", users) &&
            write_file("/proc/self/gid_map", groups));
}

/* `text` in the place of that file, for us alone. */
static bool lay_over(const char *path, const char *text)
{
    char name[] = "/tmp/pj-test-names-XXXXXX";
    int fd = mkstemp(name);
    bool ok = fd >= 0 && fchmod(fd, 0644) == 0 && write_file(name, text) &&
              mount(name, path, NULL, MS_BIND, NULL) == 0;

    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(name);
    }
    return ok;
}

static bool raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

    if (fd >= 0)
        (void)close(fd);
    return ok;
}

/* A cache of names that other programs keep would be asked first. */
static bool hide_cache(void)
{
    return access("/run/nscd", F_OK) < 0 || mount("none", "/run/nscd", "tmpfs", 0, NULL) == 0;
}

static bool move_in(void)
{
    return unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && raise_loopback() &&
           lay_over("/etc/resolv.conf", resolver) &&
           lay_over("/etc/nsswitch.conf", order_of_sources) && hide_cache();
}

/* The question as it came, and for type A its address; other types have no record. The length, 0 for what is no question. */
static size_t answer(unsigned char *msg, size_t n, size_t size, struct in_addr address)
{
    static const unsigned char record[] = {0xc0, HEAD, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4};
    size_t end = HEAD;
    bool is_a;

    while (end < n && msg[end] != 0)
        end += msg[end] + 1U;
    if (end + 5 > n || end + 5 + sizeof(record) + 4 > size)
        return 0;
    is_a = msg[end + 1] == 0 && msg[end + 2] == TYPE_A;
    end += 5;
    msg[2] |= 0x80; /* an answer */
    msg[3] = 0x80;  /* that recursion is to be had, and no error */
    memset(msg + 6, 0, 6);
    if (!is_a)
        return end;
    msg[7] = 1;
    memcpy(msg + end, record, sizeof(record));
    memcpy(msg + end + sizeof(record), &address, 4);
    return end + sizeof(record) + 4;
}

static void serve_one(int sock, int asked, struct in_addr address)
{
    unsigned char msg[1024];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(sock, msg, sizeof(msg), 0, (struct sockaddr *)&from, &from_len);
    size_t reply = 0;

    if (n <= 0)
        return;
    (void)!write(asked, "", 1);
    if (address.s_addr != INADDR_ANY)
        reply = answer(msg, (size_t)n, sizeof(msg), address);
    if (reply)
        (void)sendto(sock, msg, reply, 0, (struct sockaddr *)&from, from_len);
}

PJ_NORETURN static void serve(int sock, int orders, int asked)
{
    struct in_addr address = {.s_addr = INADDR_ANY};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct pollfd p[] = {{.fd = orders, .events = POLLIN}, {.fd = sock, .events = POLLIN}};

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            _exit(1);
        if (p[0].revents && read(orders, &address, sizeof(address)) != sizeof(address))
            _exit(0);
        if (!p[0].revents && p[1].revents)
            serve_one(sock, asked, address);
    }
}

bool name_server_try(struct name_server *ns)
{
    struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sock, orders[2], asked[2];

    if (!move_in())
        return false;
    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(sock, (struct sockaddr *)&here, sizeof(here)), 0, "%s", strerror(errno));
    cr_assert_eq(pipe2(orders, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(asked, O_CLOEXEC | O_NONBLOCK), 0);
    ns->pid = fork();
    cr_assert_geq(ns->pid, 0);
    if (ns->pid == 0) {
        (void)close(orders[1]);
        serve(sock, orders[0], asked[1]);
    }
    (void)close(sock);
    (void)close(orders[0]);
    (void)close(asked[1]);
    ns->orders = orders[1];
    ns->asked = asked[0];
    return true;
}

void name_server_start(struct name_server *ns)
{
    if (!name_server_try(ns))
        cr_skip_test("this host gives a test no network and mounts of its own: %s",
                     strerror(errno));
}

void name_server_say(struct name_server *ns, const char *address)
{
    struct in_addr order = {.s_addr = INADDR_ANY};

    if (address)
        cr_assert_eq(inet_pton(AF_INET, address, &order), 1);
    cr_assert_eq(write(ns->orders, &order, sizeof(order)), (ssize_t)sizeof(order));
}

size_t name_server_asked(struct name_server *ns, int ms)
{
    struct pollfd p = {.fd = ns->asked, .events = POLLIN};
    char bytes[4096];
    ssize_t n;

    (void)poll(&p, 1, ms);
    n = read(ns->asked, bytes, sizeof(bytes));
    return n > 0 ? (size_t)n : 0;
}

void name_server_stop(struct name_server *ns)
{
    (void)close(ns->orders);
    (void)close(ns->asked);
    (void)kill(ns->pid, SIGKILL);
    (void)waitpid(ns->pid, NULL, 0);
}
