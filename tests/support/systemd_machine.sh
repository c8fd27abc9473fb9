#!/bin/bash
# Runs inside the machine that systemd_machine.py boots: installs certificates as
# the handbook says, starts both units, and notes what it sees in /notes.
set -u

pki=/opt/test/pki
spool=/var/spool/ocspd

# What a command prints goes to /notes/NAME, its exit code beside it.
note() {
    local name=$1
    shift
    "$@" >"/notes/$name" 2>&1
    echo $? >"/notes/$name.code"
}

wait_for() {
    for _ in $(seq 300); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "gave up waiting for: $*" >>/notes/waited
    return 1
}

get() {
    curl -sS --max-time 30 --cacert $pki/root.pem \
        --resolve www.example.org:443:127.0.0.1 "$@"
}

main_pid() {
    systemctl show -p MainPID --value "$1"
}

show() {
    systemctl show -p ActiveState -p SubState -p StatusText -p NRestarts \
        -p Result -p ExecMainStatus -p User -p MainPID \
        "$1"
}

# User, parent and rights of every process of a unit.
processes() {
    local pid
    for pid in $(cat "/sys/fs/cgroup$(systemctl show -p ControlGroup --value \
        "$1")/cgroup.procs" 2>/dev/null ||
        cat "/sys/fs/cgroup/systemd$(systemctl show -p ControlGroup --value \
            "$1")/cgroup.procs"); do
        echo "pid=$pid user=$(stat -c %U "/proc/$pid") $(sed -n \
            's/^\(Uid\|Gid\|CapEff\|CapPrm\|CapBnd\|NoNewPrivs\|Seccomp\):\t*/\1=/p' \
            "/proc/$pid/status" | tr '\t\n' ', ') files=$(sed -n \
            's/^Max open files *\([0-9]*\) *\([0-9]*\).*/\1:\2/p' \
            "/proc/$pid/limits") core=$(sed -n \
            's/^Max core file size *\([0-9]*\) .*/\1/p' "/proc/$pid/limits")"
    done
}

# ---- as the handbook says -------------------------------------------------------
touch /notes/booted
trap 'journalctl -q --no-pager -b >/notes/journal 2>&1' EXIT
note sysusers systemd-sysusers
note tmpfiles systemd-tmpfiles --create ocspd.conf wsgate.conf
install -m 640 -o root -g wsgate $pki/site.pem $pki/site.key /etc/wsgate/certs/
install -m 640 -o root -g ocspd $pki/site.pem /etc/ocspd/certs/
note folders stat -c '%n %U:%G %a' /etc/wsgate /etc/wsgate/certs \
    /etc/wsgate/certs/site.key /etc/ocspd /etc/ocspd/certs $spool
note verify systemd-analyze verify --man=no ocspd.service wsgate.service wsgate.socket

openssl ocsp -index $pki/index.txt -port 8888 -CA $pki/ca.pem \
    -rsigner $pki/signer.pem -rkey $pki/signer.key -ndays 2 \
    >/notes/responder 2>&1 &
wait_for sh -c "ss -Hltn | grep -q :8888"

# ---- start ----------------------------------------------------------------------
note start systemctl start ocspd wsgate
[ "$(cat /notes/start.code)" = 0 ] || exit 1
note ocspd_up show ocspd
note wsgate_up show wsgate
staple=$spool/$(cat $pki/fingerprint).der
wait_for test -s "$staple"
note staple stat -c '%n %U:%G %a' "$staple"
wait_for get --cert-status -o /dev/null https://www.example.org/
note stapled get --cert-status https://www.example.org/
note stapled_v6 curl -sS --max-time 30 --cacert $pki/root.pem --cert-status \
    --resolve 'www.example.org:443:[::1]' https://www.example.org/
note redirect curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' \
    -H 'Host: www.example.org' http://127.0.0.1/here
note redirect_v6 curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' \
    -H 'Host: www.example.org' 'http://[::1]/here'
note ocspd_stapled wait_for sh -c \
    "systemctl show -p StatusText ocspd | grep '1 of 1'"
note ocspd_status_text show ocspd
note ocspd_processes processes ocspd
note wsgate_processes processes wsgate
note listeners ss -Hltn
note status_verb /usr/local/sbin/ocspd status
note priorities journalctl -q -o json --output-fields=PRIORITY,MESSAGE,_PID \
    -u wsgate -u ocspd _TRANSPORT=stdout

# ---- reload ---------------------------------------------------------------------
pid_before=$(main_pid wsgate)
mkdir /srv/more && echo more >/srv/more/index.html
sed -i 's|^      /: .*|&\n      /more/: {files: /srv/more}|' \
    /etc/wsgate/wsgate.yaml
note reload systemctl reload wsgate
note reloaded get https://www.example.org/more/
note reload_pid test "$(main_pid wsgate)" = "$pid_before"
note wsgate_reloaded show wsgate
cp /etc/wsgate/wsgate.yaml /run/good.yaml
echo 'sites_of_mine: []' >>/etc/wsgate/wsgate.yaml
note reload_bad systemctl reload wsgate
note reload_bad_state show wsgate
note reload_bad_said journalctl -q --no-pager -u wsgate -g 'reload failed'
note admin_socket stat -c '%n %U:%G %a' /run/wsgate/admin.sock
note admin_status /usr/local/sbin/wsgate status
note admin_foreign setpriv --reuid nobody --regid nogroup --clear-groups \
    /usr/local/sbin/wsgate reload
systemctl kill --kill-who=main -s HUP wsgate
note reload_bad_seen wait_for sh -c \
    "systemctl show -p StatusText wsgate | grep 'old configuration'"
note reload_bad_serves get https://www.example.org/more/
note signal_bad_state show wsgate
cp /run/good.yaml /etc/wsgate/wsgate.yaml
note ocspd_reload systemctl reload ocspd
note ocspd_reload_seen wait_for sh -c \
    "journalctl -q -u ocspd | grep 'configuration loaded'"
note ocspd_reloaded show ocspd

# ---- restart: nobody is turned away -----------------------------------------------
knock() {
    while [ ! -e /run/enough ]; do
        get -o /dev/null -w '%{http_code}\n' https://www.example.org/
    done
}
for visitor in 1 2 3; do
    knock >"/notes/knocks_$visitor" 2>&1 &
    visitors="${visitors:-} $!"
done
sleep 0.3
note restart systemctl restart wsgate
note restart_again systemctl restart wsgate
sleep 0.3
touch /run/enough
# shellcheck disable=SC2086 # a list of pids
wait $visitors
note wsgate_restarted show wsgate

# ---- rights by a drop-in: a folder of another group ---------------------------------
install -d -m 750 -g staff /srv/group
echo shared >/srv/group/index.html
sed -i 's|^      /: .*|&\n      /group/: {files: /srv/group}|' \
    /etc/wsgate/wsgate.yaml
systemctl restart wsgate
note group_without get -o /dev/null -w '%{http_code}' \
    https://www.example.org/group/
mkdir -p /run/systemd/system/wsgate.service.d
printf '[Service]\nSupplementaryGroups=staff\nLogsDirectory=wsgate\n' \
    >/run/systemd/system/wsgate.service.d/rights.conf
log=/var/log/wsgate/access.log
echo "log: {access: $log}" >>/etc/wsgate/wsgate.yaml
systemctl daemon-reload
systemctl restart wsgate
note group_with get https://www.example.org/group/
mv $log $log.1
systemctl kill --kill-who=main -s USR1 wsgate
note log_opened wait_for test -e $log
get -o /dev/null https://www.example.org/after
note log_old cat $log.1
note log_new cat $log

# ---- watchdog: a stopped master is replaced ---------------------------------------
for unit in ocspd wsgate; do
    mkdir -p /run/systemd/system/$unit.service.d
    printf '[Service]\nWatchdogSec=2\n' \
        >/run/systemd/system/$unit.service.d/watchdog.conf
done
systemctl daemon-reload
systemctl restart ocspd wsgate
sleep 3 # longer than the watchdog waits: both must have spoken
note watchdog_patience sh -c 'systemctl show -p NRestarts ocspd wsgate'
kill -STOP "$(main_pid ocspd)" "$(main_pid wsgate)"
for unit in ocspd wsgate; do
    note "${unit}_bitten" wait_for sh -c \
        "systemctl show -p NRestarts $unit | grep -qv '=0' &&
         systemctl is-active $unit"
    note "${unit}_again" show $unit
done
note after_watchdog get --cert-status https://www.example.org/

# ---- stop -------------------------------------------------------------------------
note stop systemctl stop wsgate.service wsgate.socket ocspd
note wsgate_down show wsgate
note ocspd_down show ocspd
note staple_stays stat -c '%a' "$staple"
note port_closed curl -sS --max-time 5 -o /dev/null http://127.0.0.1/

# ---- mistakes: said once, not tried again and again ------------------------------------
sed -i '/redirect_from/d' /etc/wsgate/wsgate.yaml
note start_unused systemctl start wsgate
note unused_said journalctl -q --no-pager -u wsgate -g 'not in the configuration'
systemctl stop wsgate.service
echo 'sites_of_mine: []' >>/etc/wsgate/wsgate.yaml
echo 'spol: /tmp' >>/etc/ocspd/ocspd.yaml
for unit in ocspd wsgate; do
    note ${unit}_start_bad systemctl start $unit
    note ${unit}_failed show $unit
done
chmod 600 /etc/wsgate/certs/site.key
cp /run/good.yaml /etc/wsgate/wsgate.yaml
note start_denied systemctl start wsgate
note start_denied_state show wsgate
note start_denied_said journalctl -q --no-pager -u wsgate -n 20
note denied sh -c "journalctl -q --no-pager | grep -iE 'denied|seccomp|audit'"
note finished true
