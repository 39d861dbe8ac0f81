#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/access.h"
#include "api/api.h"
#include "api/audit.h"
#include "api/reply.h"
#include "api/repos.h"
#include "api/request.h"
#include "lib/base/mem.h"
#include "lib/store/repos.h"

#define FINDINGS_MAX 500

struct finding {
    char *path, *title, *detail, *suggestion;
    int64_t line;
    int severity;
};

struct analysis {
    char *source, *summary;
    json_t *findings;
};

static const char *const severities[] = {"critical", "high", "medium", "low", NULL};

static const struct pj_field finding_fields[] = {
    {"path", PJ_F_STR, offsetof(struct finding, path), 0, 1, 1024},
    {"line", PJ_F_INT, offsetof(struct finding, line), PJ_FF_NULL_NEG, 1, 100000000},
    {"severity", PJ_F_WORD, offsetof(struct finding, severity), PJ_FF_REQUIRED,
     .words = severities},
    {"title", PJ_F_STR, offsetof(struct finding, title), PJ_FF_REQUIRED, 1, 500},
    {"detail", PJ_F_STR, offsetof(struct finding, detail), PJ_FF_REQUIRED, 1, 16384},
    {"suggestion", PJ_F_STR, offsetof(struct finding, suggestion), 0, 1, 16384},
};

static const struct pj_field analysis_fields[] = {
    {"source", PJ_F_STR, offsetof(struct analysis, source), PJ_FF_REQUIRED, 1, 100},
    {"summary", PJ_F_STR, offsetof(struct analysis, summary), 0, 1, 65536},
    {"findings", PJ_F_JSON, offsetof(struct analysis, findings), PJ_FF_REQUIRED},
};

/* Each finding by its own table; faults are named findings[i].field. */
static int check_findings(struct request *req, const json_t *findings)
{
    size_t i;
    json_t *item;

    if (!json_is_array(findings) || json_array_size(findings) > FINDINGS_MAX) {
        reply_fault(req, "findings", "must be an array of at most %d findings", FINDINGS_MAX);
        return -1;
    }
    json_array_foreach(findings, i, item)
    {
        struct finding one = {0};
        struct pj_field_errors faults = {0};
        struct pj_err err;
        int rc =
            pj_json_decode(item, finding_fields, PJ_COUNT_OF(finding_fields), &one, &faults, &err);
        pj_json_release(finding_fields, PJ_COUNT_OF(finding_fields), &one);
        if (rc == 0)
            continue;
        char field[120];
        snprintf(field, sizeof field, "findings[%zu]%s%s", i, faults.count > 0 ? "." : "",
                 faults.count > 0 ? faults.item[0].field : "");
        reply_fault(req, field, "%s", faults.count > 0 ? faults.item[0].detail : err.message);
        return -1;
    }
    return 0;
}

static void on_put(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_reply_error(reply, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    audit(req, "repository.analysis", req->param[0], NULL);
    reply_bytes(req, 200, "application/json", pj_strndup(req->body.data, req->body.len),
                req->body.len);
}

static void put_found(struct request *req)
{
    struct analysis a = {0};
    struct pj_cmd cmd = {0};

    if (request_json(req, analysis_fields, PJ_COUNT_OF(analysis_fields), &a) == 0 &&
        check_findings(req, a.findings) == 0) {
        pj_repo_analysis_put_cmd(&cmd, req->repo->id, pj_view_n(req->body.data, req->body.len));
        request_redis(req, &cmd, on_put);
    }
    pj_json_release(analysis_fields, PJ_COUNT_OF(analysis_fields), &a);
}

void analysis_put(struct request *req)
{
    access_repo(req, req->param[0], true, put_found);
}

static void on_get(struct request *req, const struct redisReply *reply)
{
    char *text = NULL;
    struct pj_err err;

    if (pj_repo_analysis_get_reply(reply, &text, &err) < 0)
        reply_err(req, &err);
    else
        reply_bytes(req, 200, "application/json", text, strlen(text));
}

static void get_found(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_repo_analysis_get_cmd(&cmd, req->repo->id);
    request_redis(req, &cmd, on_get);
}

void analysis_get(struct request *req)
{
    access_repo(req, req->param[0], false, get_found);
}

static void on_deleted(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_reply_error(reply, &err) < 0)
        reply_err(req, &err);
    else
        reply_empty(req, 204);
}

static void delete_found(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_repo_analysis_delete_cmd(&cmd, req->repo->id);
    request_redis(req, &cmd, on_deleted);
}

void analysis_delete(struct request *req)
{
    access_repo(req, req->param[0], true, delete_found);
}
