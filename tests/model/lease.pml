/* lease.pml - backlog, bells, leases, epochs, finish and reaper as lib/store/lua keeps them: three runners, two tasks, crashes anywhere.
 *
 * Each `atomic` is one Lua script, or one step that the outside sees. Time is left out: a lease may expire at any moment, also under a
 * runner that is only slow (it is then a zombie, and goes on); so may a bell that was heard. Checked:
 *     one end and one notification per task; no write of a zombie is taken; a task is never out of everybody's sight, and while one
 *     waits there is a bell or a pending one (the claim `sight`); every task ends (the claim `all_end`, under weak fairness).
 * Negative controls, each of which must fail: -DNO_CAS (finish does not compare the state), -DNO_FENCE (writes do not compare the
 * epoch), -DNO_BELLS (nobody rings again for bells that were heard and forgotten), -DNO_REAPER (nobody looks after leases). */

#ifndef RUNNERS
#define RUNNERS 3
#endif
#ifndef EARLY
#define EARLY 1 /* crashes between hearing a bell and leasing: nothing else bounds them */
#endif
#define TASKS 2
#ifndef DELIVERIES
#define DELIVERIES 3
#endif
#define TARGET 2 /* bells at most */

mtype = { waiting, leased, over };

mtype state[TASKS] = waiting; /* running in the API's words: waiting (in the backlog), leased; over: any end */
byte holder[TASKS]; /* 0: nobody. Stands for the epoch: who holds an old one is not the holder, and a runner holds one task at once */
byte deliveries[TASKS];
byte bells = TARGET; /* nobody has heard them */
byte heard;          /* somebody has, and has not answered */
bool cancel[TASKS];
byte ends[TASKS];
byte notices[TASKS];
byte early_crashes;

#define somebody_waits (state[0] == waiting || state[1] == waiting)

/* queue.lua: while somebody waits there are bells, pending ones counted. */
inline ring() {
    if
    :: somebody_waits && bells + heard < TARGET -> bells++
    :: else
    fi
}

inline end_it(t) {
    state[t] = over;
    ends[t]++;
    notices[t]++;
    assert(ends[t] == 1 && notices[t] == 1);
    holder[t] = 0; /* nobody looks at these any more: fewer states */
    deliveries[t] = 0;
    cancel[t] = false
}

/* requeue.lua */
inline requeue(t) {
    if
    :: cancel[t] -> end_it(t)
    :: !cancel[t] && deliveries[t] >= DELIVERIES -> end_it(t)
    :: else -> state[t] = waiting; holder[t] = 0; ring()
    fi
}

/* lease_take: what is next, if anything is; then the bells as they should be. */
inline take(t) {
    if
    :: state[0] == waiting -> t = 0; state[0] = leased; holder[0] = _pid; deliveries[0]++
    :: state[1] == waiting -> t = 1; state[1] = leased; holder[1] = _pid; deliveries[1]++
    :: !somebody_waits -> t = TASKS
    fi;
    if
    :: somebody_waits -> ring()
    :: else -> bells = 0
    fi
}

proctype runner() {
    byte t;

idle:
    t = 0;
    if
    :: atomic { (bells > 0) -> bells--; heard++ } /* XREADGROUP: pending now */
    :: atomic { (state[0] == over && state[1] == over) -> goto done }
    fi;
    atomic {
        if
        :: (early_crashes < EARLY) -> early_crashes++; goto idle /* kill -9: the bell stays pending */
        :: heard > 0 -> heard--; take(t)
        :: heard == 0 -> take(t) /* the reaper has rung again for it */
        fi;
        if
        :: t == TASKS -> t = 0; goto idle
        :: else
        fi
    }
work:
    /* a fenced write: log, stage, base, commit */
    atomic {
        if
        :: t = 0; goto idle /* kill -9 */
#ifdef NO_FENCE
        :: state[t] == leased -> assert(holder[t] == _pid)
#else
        :: state[t] == leased && holder[t] == _pid
#endif
        :: else -> t = 0; goto idle /* stale: drop everything */
        fi
    }
    /* lease_finish, alone or with the next take in the same breath */
    atomic {
        if
        :: t = 0; goto idle /* kill -9 */
#ifdef NO_CAS
        :: end_it(t)
#else
        :: state[t] == leased && holder[t] == _pid -> end_it(t)
        :: !(state[t] == leased && holder[t] == _pid)
#endif
        fi
    }
    atomic {
        take(t);
        if
        :: t == TASKS -> t = 0; goto idle
        :: else -> goto work
        fi
    }
done:
    skip
}

/* lease_reap: for one task, and for the bells. */
proctype reaper(byte t) {
    do
#ifndef NO_REAPER
    :: atomic { (state[t] == leased) -> requeue(t) }
#endif
#ifndef NO_BELLS
    :: atomic { (heard > 0 && somebody_waits) -> heard--; ring() }
#endif
    :: atomic { (state[t] == over) -> break }
    od
}

/* The user may cancel once; at a deadline the reaper ends the task wherever it is. */
proctype user() {
    if
    :: skip
    :: atomic {
           skip;
           if
           :: state[0] == waiting -> end_it(0)
           :: state[0] == leased -> cancel[0] = true
           :: else
           fi
       }
    :: atomic {
           skip;
           if
           :: state[0] != over -> end_it(0)
           :: else
           fi
       }
    fi
}

init {
    byte i;

    atomic {
        for (i : 1 .. RUNNERS) {
            run runner()
        }
        run reaper(0);
        run reaper(1);
        run user()
    }
}

#define in_sight(t) (state[t] == over || state[t] == leased || bells + heard > 0)
ltl sight { [] (in_sight(0) && in_sight(1)) }
ltl all_end { <> (state[0] == over && state[1] == over) }
