#include "lib/git/git.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <git2.h>

#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/git/net.h"

static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;
static bool setup_done;

static int setup_once(struct pj_err *err)
{
    static const int levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                 GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL};

    if (git_libgit2_init() < 0)
        return pj_git_fail(NULL, -1, err, "start libgit2");
    for (size_t i = 0; i < PJ_COUNT_OF(levels); i++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
    git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "");
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    git_libgit2_opts(GIT_OPT_SET_USER_AGENT, "pithy-jaunt/" PJ_VERSION);
    if (pj_git_net_register() < 0)
        return pj_git_fail(NULL, -1, err, "register sockets with libgit2");
    return 0;
}

int pj_git_setup(const char *ca_file, struct pj_err *err)
{
    static char *ca_loaded;
    int rc = 0;

    pthread_mutex_lock(&setup_lock);
    if (!setup_done) {
        rc = setup_once(err);
        setup_done = rc == 0;
    }
    if (rc == 0 && ca_file != NULL && ca_file[0] != '\0' &&
        (ca_loaded == NULL || strcmp(ca_loaded, ca_file) != 0)) {
        if (git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, ca_file, NULL) < 0) {
            rc = pj_git_fail(NULL, -1, err, "load certificates from %s", ca_file);
            err->cls = PJ_E_UNAVAILABLE;
            (void)pj_err_remedy(err, "PJ_CA_FILE must name a readable file of PEM certificates");
        } else {
            pj_str_set(&ca_loaded, ca_file);
        }
    }
    pthread_mutex_unlock(&setup_lock);
    return rc;
}

/* libgit2 tells the status of an answer only in its text: "unexpected http status code: 403" (transports/http.c, 1.5). */
static int http_status_of(const char *message)
{
    static const char mark[] = "http status code: ";
    const char *at = strstr(message, mark);
    int64_t status = 0;

    if (at == NULL)
        return 0;
    struct pj_view digits = pj_view_of(at + sizeof(mark) - 1);
    if (digits.n > 3)
        digits.n = 3;
    return pj_parse_i64(digits, &status) == 0 ? (int)status : 0;
}

static enum pj_err_class class_of_status(int status)
{
    switch (status) {
    case 401:
    case 407:
        return PJ_E_AUTH;
    case 403:
        return PJ_E_FORBIDDEN;
    case 404:
    case 410:
        return PJ_E_NOT_FOUND;
    case 429:
        return PJ_E_RATE;
    default:
        return status >= 500 ? PJ_E_UNAVAILABLE : PJ_E_PROTOCOL;
    }
}

static enum pj_err_class class_of(int code, const git_error *last)
{
    switch (code) {
    case GIT_EAUTH:
        return PJ_E_AUTH;
    case GIT_ENOTFOUND:
        return PJ_E_NOT_FOUND;
    case GIT_ECERTIFICATE:
        return PJ_E_UNAVAILABLE;
    case GIT_EAPPLYFAIL:
    case GIT_EMODIFIED:
    case GIT_EEXISTS:
    case GIT_ENONFASTFORWARD:
    case GIT_ELOCKED:
        return PJ_E_CONFLICT;
    case GIT_EINVALIDSPEC:
        return PJ_E_INVALID;
    case GIT_EUSER:
        return PJ_E_CANCELLED;
    case GIT_EEOF:
        return PJ_E_UNAVAILABLE;
    default:
        break;
    }
    if (last == NULL)
        return PJ_E_INTERNAL;
    switch (last->klass) {
    case GIT_ERROR_NET:
    case GIT_ERROR_SSL:
        return PJ_E_UNAVAILABLE;
    case GIT_ERROR_HTTP: {
        int status = http_status_of(last->message);
        return status != 0 ? class_of_status(status) : PJ_E_PROTOCOL;
    }
    case GIT_ERROR_PATCH:
        return PJ_E_INVALID;
    default:
        return PJ_E_INTERNAL;
    }
}

int pj_git_fail(const struct pj_git_call *call, int code, struct pj_err *err, const char *fmt, ...)
{
    const git_error *last = git_error_last();
    struct pj_err cause = {0};
    char what[300];
    va_list ap;

    if (call != NULL && call->failed) {
        cause = call->failure;
    } else {
        (void)pj_fail(&cause, class_of(code, last), "%s",
                      last != NULL && last->message != NULL ? last->message
                                                            : "libgit2 gave no reason");
        if (code == GIT_ECERTIFICATE || (last != NULL && last->klass == GIT_ERROR_SSL))
            (void)pj_err_remedy(
                &cause, "the certificate is not trusted here: PJ_CA_FILE may name the one that is");
    }
    if (code == GIT_ECERTIFICATE)
        (void)pj_err_code(&cause, "host_unreachable");
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    *err = cause;
    return pj_err_wrap(err, "%s", what);
}
