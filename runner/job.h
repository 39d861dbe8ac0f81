/* job.h - one attempt of one task, as a process of its own (`pj-runner job`).
 *
 * Started by a keeper with its description on descriptor 3, it writes its outcome to 4 and takes orders from 5 (spawner.h). It
 * holds this task's secrets and may block and may crash: the daemon renews the lease, enforces the deadline and settles. It
 * has one thread; whoever waits serves job_pump(), which carries the box's output to the log and notices orders.
 *
 *     job.c             entry, tables of steps, outcome      job_pump.c    orders, boxes, log while waiting
 *     job_store.c       reports to the store                 job_box.c     boxes of this task, their output
 *     job_remote.c      reports by webhook, from a workflow  backend_actions.c  hands the task to a workflow
 *     job_claim.c       what a workflow is told of its task   handover.c    from a workflow's one job to the other
 *     job_agent.c       a run of the agent                   job_hooks.c    what the gateway tells meanwhile
 *     steps_prepare.c   clone, analyse                       steps_generate.c  set-up, agent, collecting
 *     checks.c          the repository's command           checks_syntax.c   files that must parse
 *     syntax.c          language -> checker                steps_publish.c   apply, push, pull request */
#ifndef RUNNER_JOB_H
#define RUNNER_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/clock.h"
#include "lib/base/id.h"
#include "lib/base/pump.h"
#include "lib/forge/hosts.h"
#include "lib/model/prices.h"
#include "lib/store/conn.h"
#include "lib/store/lease.h"
#include "lib/store/usage.h"
#include "lib/task/outcome.h"
#include "runner/box.h"
#include "runner/collect.h"
#include "runner/credential.h"
#include "runner/disk.h"
#include "runner/gateway/gateway.h"
#include "runner/job_log.h"
#include "runner/settings.h"
#include "runner/spec.h"
#include "runner/workspace.h"

#define JOB_BOXES_MAX 2   /* the agent's, and one that checks its work meanwhile */
#define JOB_CHECKS_MAX 24 /* the repository's command, and a row for each language */
#define JOB_GATEWAY_PORT 8100

/* A command run on the base and on the patched tree, for the task's `checks` and the pull request. */
struct job_check {
    char *command;
    char *before, *after; /* "passed", "failed (exit 1)", … ; NULL: not run */
};

struct job;
struct remote;

/* In a workflow, two jobs share an attempt: the one that works has a token that may only read; the one that publishes has no
 * model's key and runs no box. */
enum job_part { JOB_WHOLE, JOB_WORK, JOB_PUBLISH };

struct job {
    const struct runner_settings *settings;
    struct job_spec spec;
    const struct job_report *report;
    struct pj_redis *redis; /* NULL in a workflow */
    struct remote *remote;  /* set in a workflow */
    enum job_part part;
    struct job_log *log;
    struct pj_forges *forges;
    struct pj_prices *prices;
    struct pj_repo_address address;
    char *repo_token;                /* the repository's own, unsealed; wiped at the end */
    struct credential owned;         /* the one in use */
    struct pj_credential credential; /* what the remote gets: borrows from `owned` */
    char *sandbox_program, *agent_program, *rootfs;

    struct pj_pump pump;
    int control_fd;
    bool own_deadline;      /* nobody else keeps it */
    struct pj_err stop;     /* cls OK while nobody told us to end */
    struct box_ahead ahead; /* the next box, being built or standing by; at most one */
    struct box *boxes[JOB_BOXES_MAX];
    struct disk_watch disks[JOB_BOXES_MAX]; /* of each box's work tree */
    int64_t tree_has[DISK_KINDS];           /* at most, of a copy of the repository's files */
    struct box *agent_box;                  /* while the gateway serves it */
    bool foreign;                           /* not our agent: it says that it is done by leaving */

    struct workspace *ws;
    int tree_fd; /* where the tree is a layer over a shared checkout: both together, as the last box saw them; -1: none */
    struct collect_baseline *baseline;
    struct collect_result collected;
    bool has_collected;
    bool
        from_diff; /* the model answered with a diff: `collected` is that one, the tree is untouched */
    char *last_diff; /* as it came, to be kept also when it does not apply */
    int diff_rounds;
    struct pj_str trajectory;
    int64_t trajectory_sent;
    char tree_sha[PJ_SHA_SIZE], commit_sha[PJ_SHA_SIZE];
    bool coderabbit_added;
    char *co_author; /* "Name <mail>" of who asked for the task, or NULL */
    char *summary;   /* the agent's own words */
    char *net_refused;
    char *question;
    struct job_check checks[JOB_CHECKS_MAX];
    size_t check_count;
    int check_rounds;
    char checked_tree[PJ_SHA_SIZE]; /* what the last check looked at */
    bool checks_worse;              /* green before, red after the last round */
    char *check_report;
    bool is_replay;
    struct pj_outcome outcome;
    struct {
        int64_t turns, prompt_tokens, completion_tokens, cached_tokens, cost_microusd;
        char *provider, *model;
    } used;
};

/* Where an attempt's facts go: to the store, or from a workflow to the API's webhook (DESIGN.md D4). Writes that are refused
 * because the task is no longer ours fail with CONFLICT/"stale_lease". */
struct job_report {
    int (*stage)(struct job *job, enum pj_task_stage stage, struct pj_err *err);
    int (*note)(struct job *job, const struct pj_lease_note *note, struct pj_err *err);
    int (*keep_patch)(struct job *job, struct pj_view patch, struct pj_err *err);
    job_log_send *send_log;
    int (*usage)(struct job *job, const struct pj_usage_call *call, struct pj_err *err);
    /* Calls of this task so far: an array, or NULL. */
    int (*usage_list)(struct job *job, json_t **out, struct pj_err *err);
    /* JSON lines; NULL: not kept. */
    int (*trajectory)(struct job *job, struct pj_view lines, struct pj_err *err);
    /* The repository's CodeRabbit analysis; NULL when there is none. */
    int (*analysis)(struct job *job, json_t **out, struct pj_err *err);
    /* Who asked for the task: owned by the caller, NULL where nothing is known. */
    int (*requester)(struct job *job, char **login, char **email, struct pj_err *err);
    int (*stored_patch)(struct job *job, char **text, size_t *n, struct pj_err *err);
    int (*outcome)(struct job *job, struct pj_err *err);
};
extern const struct job_report job_store_report;
extern const struct job_report job_remote_report;

/* `pj-runner job`, started by a keeper: returns the process's exit code. */
int job_main(const struct runner_settings *settings);
/* `pj-runner job --remote [work FILE | publish FILE]`, started by a workflow: claims the task, runs the same steps, reports by signed
 * webhook. `words`: what follows, ends with NULL. FILE is what one part hands over to the other (handover.h). */
int job_remote_main(const struct runner_settings *settings, char *const *words);
/* Exit code of a job whose task a workflow has now. */
#define JOB_EXIT_EXTERNAL 4
/* Of a workflow's working part: what it made is to be published by the other one. */
#define JOB_EXIT_HANDED_OVER 5

/* ---- job.c ---- */
/* From the opened task (spec, redactor) to the report of its end; the process's exit code. */
int job_attempt(struct job *job);
/* Fill what the task's specification needs beside it: log, root file system. */
void job_begin(struct job *job);
void job_close(struct job *job);

/* ---- job_pump.c ---- */
void job_pump_init(struct job *job);
/* Serve until `box` is over. Fails with job->stop, or for good when the log cannot go on. */
int job_wait_box(struct job *job, struct box *box, struct pj_err *err) PJ_MUST_CHECK;
/* End a box whatever happens: it may leave by itself for grace_ms, then it is killed. Serves its last output, bounded. */
void job_end_box(struct job *job, struct box *box, int64_t grace_ms);
/* Serve it from now on, and stop it when it writes more to `spec`'s work tree than PJ_TASK_DISK and PJ_TASK_FILES grant. */
int job_add_box(struct job *job, const struct box_spec *spec, struct box *box,
                struct pj_err *err) PJ_MUST_CHECK;
/* Milliseconds to the attempt's deadline, at least 1. */
int64_t job_remaining_ms(const struct job *job);

/* ---- job_store.c ---- */
/* Send a command until the store answers it, serving the pump while it is away. */
int job_ask(struct job *job, const struct pj_cmd *cmd, struct redisReply **reply,
            struct pj_err *err) PJ_MUST_CHECK;
/* A fenced write: sends `cmd` (released here). */
int job_write(struct job *job, struct pj_cmd *cmd, struct pj_err *err) PJ_MUST_CHECK;

/* ---- job.c: the report, after the log's waiting lines: who watches sees what came before, before ---- */
int job_stage(struct job *job, enum pj_task_stage stage, struct pj_err *err) PJ_MUST_CHECK;

/* ---- job_box.c ---- */
struct job_command {
    const char *dir; /* its work tree; NULL: the task's own */
    const char *const *argv;
    int64_t timeout_ms;
    bool network;        /* to the repository's networkAllow */
    bool quiet;          /* its output is not the log's */
    bool more;           /* another box will follow: it is built while this one runs */
    struct pj_str *tail; /* its last output is collected here; may be NULL */
};
/* Run a command in a box of its own and wait. Output goes to the log. */
int job_run(struct job *job, const struct job_command *command, struct box_result *result,
            struct pj_err *err) PJ_MUST_CHECK;
/* "exit 3", "killed by signal 9", "timed out", … */
void job_result_text(const struct box_result *result, struct pj_str *out);
/* Another box of this task will be needed: begin to build it, unless one is there. */
void job_ahead(struct job *job);
/* Fill the members every box of this task shares. */
void job_box_spec(struct job *job, struct box_spec *spec);
/* Let it work on the task's own tree. One box at a time: a descriptor of an earlier one's is closed. */
void job_box_tree(struct job *job, struct box_spec *spec);
/* Keep what such a box saw, for the collector; nothing where the tree is whole. */
int job_take_tree(struct job *job, struct box *box, struct pj_err *err) PJ_MUST_CHECK;
/* Let the agent's box stand still while the job reads what it made, or copies it: it looks neither after the disk nor for orders then. NULL when
 * there is none; see family_let_go(). */
struct held *job_hold_agent(const struct job *job);
/* sandbox_unavailable, when the sandbox itself failed: -1 with err; else 0. */
int job_box_failed(const struct box_result *result, struct pj_err *err) PJ_MUST_CHECK;

/* ---- job_hooks.c, job_agent.c ---- */
void job_hooks(struct job *job, struct gateway_hooks *hooks);
void job_flush_trajectory(struct job *job);
/* Let the agent work on the tree until its end was accepted; `analysis` may be NULL. */
int job_agent(struct job *job, const json_t *analysis, struct pj_err *err) PJ_MUST_CHECK;

/* ---- steps ---- */
int step_dispatch(struct job *job, struct pj_err *err); /* backend_actions.c */
int step_prepare(struct job *job, struct pj_err *err);
int step_analyze(struct job *job, struct pj_err *err);
int step_generate(struct job *job, struct pj_err *err);
int step_apply(struct job *job, struct pj_err *err);
int step_push(struct job *job, struct pj_err *err);
int step_pull(struct job *job, struct pj_err *err);
/* Find the credential, or another one when it is about to expire. */
int job_credential(struct job *job, struct pj_err *err) PJ_MUST_CHECK;
/* Would the forge take a push and a pull request from us? Asked before a model costs money. */
int job_ask_forge(struct job *job, struct pj_err *err) PJ_MUST_CHECK;
/* Is the pull request that a further round adds to still open? pr_failed when it is not. */
int job_ask_pull(struct job *job, struct pj_err *err) PJ_MUST_CHECK;
/* The base branch again: has it moved since the task began? Then its new tip is the base. */
int job_refresh_base(struct job *job, bool *moved, struct pj_err *err) PJ_MUST_CHECK;
/* publish_apply(); what does not apply is tried on the base branch's new tip, when it has moved. */
int job_apply(struct job *job, struct pj_view diff, const char *expect_tree,
              char tree_sha[PJ_SHA_SIZE], struct pj_err *err) PJ_MUST_CHECK;
/* Put on record which hunks of the kept patch did not apply. */
void job_note_rejects(struct job *job);
/* Collect the tree into job->collected (again). */
int job_collect(struct job *job, struct pj_err *err) PJ_MUST_CHECK;

/* ---- checks.c ---- */
/* Check the collected tree. 0: nothing got worse (or rounds are used up: job->checks_worse). PJ_NONE: *feedback (owned by the
 * caller) is for the agent; never with a NULL `feedback`, when there is no agent to send it to. */
int checks_run(struct job *job, char **feedback, struct pj_err *err) PJ_MUST_CHECK;
json_t *checks_json(const struct job *job);
void job_check_release(struct job_check *check);

#endif
