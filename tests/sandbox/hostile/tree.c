/* What a box leaves in its work tree for whoever reads it afterwards. The observable is outside: the
 * test looks at the tree, and lets the collector read it. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static int put(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    int bad;

    if (fd < 0) {
        printf("%s: %s\n", path, strerror(errno));
        return 1;
    }
    bad = write(fd, text, strlen(text)) != (ssize_t)strlen(text);
    close(fd);
    return bad;
}

/* A tree deeper than any path can name: each step from within the last. */
static int deep_tree(int levels)
{
    int bad = 0;

    for (int i = 0; i < levels && !bad; i++)
        bad = mkdir("d", 0755) < 0 || chdir("d") < 0;
    if (put("bottom", "x\n", 0644))
        bad = 1;
    return bad | (chdir("/workspace") < 0);
}

static int odd_names(void)
{
    char longest[256];
    int bad = 0;

    memset(longest, 'n', 255);
    longest[255] = '\0';
    bad |= put(longest, "255 bytes\n", 0644);
    bad |= put("two\nlines", "x\n", 0644);
    bad |= put("\033[31mred\007", "x\n", 0644);
    bad |= put("\xff\xfe", "not UTF-8\n", 0644);
    bad |= put("-rf", "x\n", 0644);
    bad |= put(" ", "x\n", 0644);
    bad |= put("a\xe2\x80\xae"
               "b",
               "bidi\n", 0644);
    return bad;
}

static int litter(const char *arg)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), bad = 0;

    (void)arg;
    bad |= chdir("/workspace") < 0;
    bad |= symlink("/etc/passwd", "link-out") < 0 || symlink("../../../etc", "link-up") < 0 ||
           symlink("/proc/self/root", "link-magic") < 0 || symlink("link-loop", "link-loop") < 0;
    bad |= put("plain", "x\n", 0644) || link("plain", "hard-link") < 0;
    bad |= mkfifo("pipe", 0666) < 0;
    bad |= bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0;
    close(fd);
    bad |= odd_names() | deep_tree(1500);
    if (bad)
        printf("the litter is not complete: %s\n", strerror(errno));
    /* And what must not be possible: files of the system under another name, and devices. */
    bad |= refused("hard link to the system", link("/usr/bin/env", "hard-out"),
                   ERRORS(EXDEV, EPERM, EROFS, EACCES));
    bad |= refused("device", mknod("device", S_IFBLK | 0666, makedev(254, 0)), ERRORS(EPERM));
    return bad;
}

/* Everything in a repository's own folder that makes git run a program or look elsewhere. `marker` is
 * a path of the host; whoever runs one of these on the host creates it. */
static int planted_git(const char *marker)
{
    static const char *const hooks[] = {"applypatch-msg", "fsmonitor-watchman",   "post-checkout",
                                        "post-commit",    "post-index-change",    "pre-commit",
                                        "pre-push",       "reference-transaction"};
    char text[4096], path[300];
    int bad = chdir("/workspace") < 0;

    snprintf(text, sizeof text, "#!/bin/sh\ntouch %s\n", marker);
    bad |= put("run.sh", text, 0755);
    bad |= mkdir(".git", 0755) < 0 && errno != EEXIST;
    bad |= mkdir(".git/hooks", 0755) < 0 && errno != EEXIST;
    bad |= mkdir(".git/objects", 0755) < 0 && errno != EEXIST;
    bad |= mkdir(".git/objects/info", 0755) < 0 && errno != EEXIST;
    bad |= mkdir(".git/refs", 0755) < 0 && errno != EEXIST;
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++) {
        snprintf(path, sizeof path, ".git/hooks/%s", hooks[i]);
        bad |= put(path, text, 0755);
    }
    snprintf(text, sizeof text,
             "[core]\n\tbare = false\n\tfsmonitor = touch %s\n\tsshCommand = touch %s\n"
             "\thooksPath = .git/hooks\n\tpager = touch %s\n\teditor = touch %s\n"
             "[filter \"x\"]\n\tclean = touch %s\n\tsmudge = touch %s\n\trequired = true\n"
             "[diff \"x\"]\n\tcommand = touch %s\n\ttextconv = touch %s\n"
             "[diff]\n\texternal = touch %s\n[credential]\n\thelper = !touch %s\n"
             "[include]\n\tpath = /etc/passwd\n",
             marker, marker, marker, marker, marker, marker, marker, marker, marker, marker);
    bad |= put(".git/config", text, 0644);
    bad |= put(".git/HEAD", "ref: refs/heads/main\n", 0644);
    bad |= put(".git/objects/info/alternates", "/root/objects\n/etc\n", 0644);
    bad |= put(".gitattributes", "* filter=x diff=x\n", 0644);
    bad |= mkdir("nested", 0755) < 0 || put("nested/.git", "gitdir: ../.git\n", 0644);
    bad |= put("nested/file", "x\n", 0644);
    return bad;
}

const struct attack attacks_tree[] = {
    {"litter", litter, "all of it belongs to the tree's owner, nothing is a device or set-id"},
    {"planted_git", planted_git, "the collector reads the tree, and nothing planted runs"},
    {NULL, NULL, NULL},
};
