/* run.h - one box from the command line to the exit code. */
#ifndef SANDBOX_RUN_H
#define SANDBOX_RUN_H

#include "sandbox/plan.h"
#include "sandbox/result.h"

/* A failure for people, with its remedy. */
void run_complain(const struct pj_err *err);
/* Plan, make, serve, end, report. */
int run_box(const struct spec *spec);
/* Report what became of it; the exit code. Releases the result and the plan. */
int run_report(struct plan *plan, const struct spec *spec, struct result *result);

#endif
