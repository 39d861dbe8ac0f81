# shellcheck shell=bash disable=SC2016,SC2001 # what stands in single quotes is another shell's
# The profile for hosts that restrict user namespaces. AppArmor 4 (Debian 13) knows its rule; an older parser must refuse it cleanly, and the
# package then leaves it out.
under_profile() {
    local pid rc=0
    pj-sandbox --timeout 60s -- /bin/sleep 50 &
    pid=$!
    soon 20 grep -q '^pj-sandbox' "/proc/$pid/attr/current" || rc=1
    cat "/proc/$pid/attr/current"
    kill $pid
    wait $pid
    return $rc
}
profile=/usr/share/pithyjaunt/pj-sandbox.apparmor
if [ -e /etc/apparmor.d/abi/4.0 ]; then
    holds "the profile parses" apparmor_parser --skip-kernel-load --skip-cache "$profile"
    holds "the package installed it" cmp "$profile" /etc/apparmor.d/pj-sandbox
    holds "the package loaded it" grep -q '^pj-sandbox ' /sys/kernel/security/apparmor/profiles
    holds "a box under it" pj-sandbox -- /bin/true
    holds "a box under it as an ordinary user" as_tester pj-sandbox -- /bin/true
    holds "it is the profile of pj-sandbox while it runs" under_profile
else
    holds "a parser before 4 does not know the profile" sh -c '! apparmor_parser --skip-kernel-load --skip-cache "$1"' sh "$profile"
    holds "and the package leaves it out" [ ! -e /etc/apparmor.d/pj-sandbox ]
    echo "skip the profile itself: this parser is $(apparmor_parser --version | head -1), and the rule userns came with 4"
fi
holds "a box as an ordinary user while user namespaces are open" as_tester pj-sandbox -- /bin/true
if [ -e /proc/sys/kernel/apparmor_restrict_unprivileged_userns ]; then
    sysctl -qw kernel.apparmor_restrict_unprivileged_userns=1
    holds "under kernel.apparmor_restrict_unprivileged_userns=1 the profile lets a box start" as_tester pj-sandbox -- /bin/true
    sysctl -qw kernel.apparmor_restrict_unprivileged_userns=0
else
    echo "skip the restriction by AppArmor: this kernel has no kernel.apparmor_restrict_unprivileged_userns (Ubuntu's has)"
fi
sysctl -qw kernel.unprivileged_userns_clone=0
as_tester pj-sandbox -- /bin/true 2>closed.out
holds "kernel.unprivileged_userns_clone=0 is an error of the sandbox" [ $? = 125 ]
says "and it says who names the gate" "pj-sandbox --check" closed.out
as_tester pj-sandbox --check >closed.check 2>&1
says "--check names it too" "kernel.unprivileged_userns_clone" closed.check
# Root's boxes need one too: the last one, which they enter as a user that owns nothing.
pj-sandbox -- /bin/true 2>closed.root
holds "for root as well" [ $? = 125 ]
says "with the remedy" "kernel.unprivileged_userns_clone=1" closed.root
sysctl -qw kernel.unprivileged_userns_clone=1
