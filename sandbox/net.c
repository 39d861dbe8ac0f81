#include "sandbox/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "sandbox/step.h"
#include "sandbox/weaken.h"

#define STEP "net"

#define REMEDY_NET                                                                                 \
    "allow network namespaces: sysctl user.max_net_namespaces above 0; pj-sandbox --check says "   \
    "which gate of this host is closed"

/* Bring `lo` up in the namespace just made, and get hold of it: a socket knows its own. */
static int open_namespace(struct net *net)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return step_fail(&net->err, STEP, errno, NULL, "socket");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    rc = ioctl(fd, SIOCSIFFLAGS, &request);
    if (rc < 0)
        step_fail(&net->err, STEP, errno,
                  "give root CAP_NET_ADMIN too (Docker: --cap-add NET_ADMIN), or run it as an "
                  "ordinary user",
                  "cannot bring the loopback interface up");
    else if ((net->ns_fd = ioctl(fd, SIOCGSKNS)) < 0)
        rc = step_fail(&net->err, STEP, errno, "use a kernel with CONFIG_NET_NS",
                       "cannot open the network namespace");
    close(fd);
    return rc;
}

/* Listen on 127.0.0.1:*port (0: any, then set). The descriptor is non-blocking. */
static int net_listen(uint16_t *port, int *out, struct pj_err *err)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
        step_fail(err, STEP, errno, NULL, "cannot listen on 127.0.0.1:%u inside", (unsigned)*port);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *port = ntohs(addr.sin_port);
    *out = fd;
    return 0;
}

int net_listeners(const struct spec *spec, struct net_ears *ears, struct pj_err *err)
{
    *ears = (struct net_ears){.count = 0};
    for (; ears->count < spec->gateway_count; ears->count++) {
        uint16_t port = spec->gateways[ears->count].port;

        if (net_listen(&port, &ears->fds[ears->count], err) < 0)
            return -1;
    }
    if (spec->allow_count) {
        if (net_listen(&ears->proxy_port, &ears->fds[ears->count], err) < 0)
            return -1;
        ears->count++;
    }
    return 0;
}

static int make(struct net *net, const struct spec *spec)
{
    if (!weakened("network") && unshare(CLONE_NEWNET) < 0)
        return step_fail(&net->err, STEP, errno, REMEDY_NET, "cannot make a network namespace");
    return open_namespace(net) < 0 ? -1 : net_listeners(spec, &net->ears, &net->err);
}

/* The descriptor table is shared, and the memory too: a copy would cost both of us. That is safe
 * because the maker sets errno only when it fails, and then the box fails. Sanitizers keep books
 * a thread, which the maker is not. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MAKER_SHARES CLONE_FILES
#else
#define MAKER_SHARES (CLONE_FILES | CLONE_VM)
#endif
#define MAKER_STACK 32768

static int maker_main(void *arg)
{
    struct net *net = arg;

    net->rc = make(net, net->spec);
    __atomic_store_n(&net->made, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &net->made, FUTEX_WAKE, 1, NULL, NULL, 0);
    return 0;
}

int net_begin(struct net **out, const struct spec *spec, struct pj_err *err)
{
    static char stack[MAKER_STACK] __attribute__((aligned(16)));
    struct net *net =
        mmap(NULL, sizeof *net, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (net == MAP_FAILED)
        return step_fail(err, STEP, errno, NULL, "mmap");
    *out = net;
    net->ns_fd = -1;
    net->rc = -1;
    net->spec = spec;
    net->maker = clone(maker_main, stack + sizeof stack, MAKER_SHARES | SIGCHLD, net);
    madvise(net, sizeof *net, MADV_DONTFORK);
    return net->maker < 0 ? step_fail(err, STEP, errno, NULL, "cannot start a process") : 0;
}

/* True when it is done, false when it has ended without. */
static bool await_maker(const struct net *net)
{
    const struct timespec while_alive = {.tv_nsec = 50000000};

    while (!__atomic_load_n(&net->made, __ATOMIC_ACQUIRE)) {
        if (syscall(SYS_futex, &net->made, FUTEX_WAIT, 0, &while_alive, NULL, 0) < 0 &&
            errno == ETIMEDOUT && waitpid(net->maker, NULL, WNOHANG) != 0)
            return __atomic_load_n(&net->made, __ATOMIC_ACQUIRE);
    }
    return true;
}

int net_await(struct net *net, struct pj_err *err)
{
    if (!await_maker(net))
        return step_fail(err, STEP, 0, "look for who killed it: the out-of-memory killer?",
                         "the maker of the network namespace is gone");
    if (net->rc < 0)
        *err = net->err;
    return net->rc;
}

int net_enter(int ns_fd, struct pj_err *err)
{
    if (ns_fd >= 0 && setns(ns_fd, CLONE_NEWNET) < 0)
        return step_fail(err, STEP, errno, NULL, "cannot enter the network namespace");
    return 0;
}

void net_release(struct net *net)
{
    if (!net)
        return;
    if (net->ns_fd >= 0)
        close(net->ns_fd);
    for (size_t i = 0; i < net->ears.count; i++)
        close(net->ears.fds[i]);
    munmap(net, sizeof *net);
}
