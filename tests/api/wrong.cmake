# Copies of api/sse.c and api/hub.c with one property taken out, for the negative controls of test_join:
# cmake -DFROM=api -DTO=folder -DWRONG=name -P wrong.cmake. A text that is no longer there is an error: the control would control nothing.
file(READ ${FROM}/sse.c sse)
file(READ ${FROM}/hub.c hub)

function(turn variable from to)
    string(FIND "${${variable}}" "${from}" at)
    if(at EQUAL -1)
        message(FATAL_ERROR "wrong.cmake: api/${variable}.c no longer has: ${from}")
    endif()
    string(REPLACE "${from}" "${to}" text "${${variable}}")
    set(${variable} "${text}" PARENT_SCOPE)
endfunction()

if(WRONG STREQUAL "reads-first")
    # The store is read before the channel is subscribed, not after, and a number that jumps is taken as it is.
    turn(sse [=[static void replay(struct viewer *v)
{]=] [=[static void replay(struct viewer *v)
{
    if (v->hub != NULL) {
        v->member.last = v->last;
        if (hub_join(v->hub, &v->member, true) != 0)
            abort();
        return;
    }]=])
    turn(hub [=[if (!force)
            return false;]=] [=[if (hub->closing && !force)
            return false;]=])
elseif(WRONG STREQUAL "no-id-check")
    # What is published is shown whether or not it was shown before.
    turn(hub [=[if (log_id_compare(id, hub->last) <= 0)]=] [=[if (hub->closing && log_id_compare(id, hub->last) <= 0)]=])
elseif(WRONG STREQUAL "forgets-end")
    # An end that overtakes the page of a viewer who joins is told to those who are there and to nobody else.
    turn(hub [=[if (hub->ended && !force)]=] [=[if (hub->closing && hub->ended && !force)]=])
else()
    message(FATAL_ERROR "wrong.cmake: WRONG=${WRONG}")
endif()
file(WRITE ${TO}/sse.c "${sse}")
file(WRITE ${TO}/hub.c "${hub}")
