/* lease.pml - tickets, leases, epochs, finish and reaper as lib/store/lua keeps them: three runners, two tasks, crashes anywhere.
 *
 * Each `atomic` is one Lua script, or one step that the outside sees. Time is left out: a lease may expire at any moment, also under a
 * runner that is only slow (it is then a zombie, and goes on); so may a ticket that was read. Checked:
 *     one end and one notification per task; no write of a zombie is taken; a task is never out of everybody's sight (the claim `sight`);
 *     every task ends (the claim `all_end`, under weak fairness).
 * Negative controls, each of which must fail: -DNO_CAS (finish does not compare the state), -DNO_FENCE (writes do not compare the
 * epoch), -DNO_TICKETS (nobody looks after tickets that were read and forgotten), -DNO_REAPER (nobody looks after leases). */

#ifndef RUNNERS
#define RUNNERS 3
#endif
#ifndef EARLY
#define EARLY 1 /* crashes between reading a ticket and leasing: nothing else bounds them */
#endif
#define TASKS 2
#ifndef DELIVERIES
#define DELIVERIES 3
#endif

mtype = { waiting, leased, over };

mtype state[TASKS] = waiting; /* running in the API's words: waiting, leased; over: any end */
byte holder[TASKS]; /* 0: nobody. Stands for the epoch: who holds an old one is not the holder, and a runner holds one task at once */
byte deliveries[TASKS];
byte stream[TASKS] = 1; /* tickets nobody has read */
byte pending[TASKS]; /* tickets somebody has read and not acknowledged */
bool cancel[TASKS];
byte ends[TASKS];
byte notices[TASKS];
byte early_crashes;

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
    :: else -> state[t] = waiting; holder[t] = 0; stream[t]++
    fi
}

proctype runner() {
    byte t;

idle:
    t = 0;
    if
    :: atomic { (stream[0] > 0) -> stream[0]--; pending[0]++; t = 0 } /* XREADGROUP: the ticket is pending now */
    :: atomic { (stream[1] > 0) -> stream[1]--; pending[1]++; t = 1 }
    :: atomic { (state[0] == over && state[1] == over && stream[0] + stream[1] == 0) -> goto done }
    fi;
    /* lease_take: the ticket is acknowledged whether or not it is worth anything */
    atomic {
        if
        :: (early_crashes < EARLY) -> early_crashes++; goto idle /* kill -9: the ticket stays pending */
        :: pending[t] > 0 -> pending[t]--
        :: pending[t] == 0 /* the reaper has given it to somebody else */
        fi;
        if
        :: state[t] == waiting -> state[t] = leased; holder[t] = _pid; deliveries[t]++
        :: else -> goto idle
        fi
    }
    /* a fenced write: log, stage, base, commit */
    atomic {
        if
        :: goto idle /* kill -9 */
#ifdef NO_FENCE
        :: state[t] == leased -> assert(holder[t] == _pid)
#else
        :: state[t] == leased && holder[t] == _pid
#endif
        :: else -> goto idle /* stale: drop everything */
        fi
    }
    /* lease_finish */
    atomic {
        if
        :: goto idle /* kill -9 */
#ifdef NO_CAS
        :: end_it(t)
#else
        :: state[t] == leased && holder[t] == _pid -> end_it(t)
        :: !(state[t] == leased && holder[t] == _pid)
#endif
        fi;
        goto idle
    }
done:
    skip
}

/* lease_reap, for one task. */
proctype reaper(byte t) {
    do
#ifndef NO_REAPER
    :: atomic { (state[t] == leased) -> requeue(t) }
#endif
#ifndef NO_TICKETS
    :: atomic { (pending[t] > 0) ->
           pending[t]--;
           if
           :: state[t] == waiting && stream[t] < 2 -> stream[t]++
           :: else
           fi
       }
#endif
    :: atomic { (state[t] == over && pending[t] == 0) -> break }
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

#define in_sight(t) (state[t] == over || state[t] == leased || stream[t] > 0 || pending[t] > 0)
ltl sight { [] (in_sight(0) && in_sight(1)) }
ltl all_end { <> (state[0] == over && state[1] == over) }
