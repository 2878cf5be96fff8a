# machine.sh boot: run a host until it is switched off; machine.sh clear: take away what the kernel keeps of it; machine.sh sweep: and
# of hosts whose test run was killed. To see who lives, sweep needs the PID namespace that they were begun in.
# What is mounted and started here goes with the mount and PID namespaces it is called in: not even a machine whose test run was
# killed is left behind.
set -u

# Each machine has a control group of its own in every hierarchy that systemd uses on this kernel: they would take each other's
# units for theirs otherwise.
in_control_groups() {
  mkdir -p "$FOLDER/cgroup"
  for options in "-t cgroup2" "-t cgroup -o none,name=systemd"; do
    case "$options" in *name=systemd) grep -q name=systemd: /proc/self/cgroup || continue ;; esac
    mount $options cgroup "$FOLDER/cgroup" || exit 1
    "$@" "$FOLDER/cgroup/$NAMESPACE"
    umount "$FOLDER/cgroup"
  done
}
join() { mkdir -p "$1" && echo $$ >"$1/cgroup.procs"; }
# Whoever was killed in there may take a moment to be gone.
remove() {
  for _ in $(seq 100); do
    find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null
    [ -d "$1" ] || return 0
    sleep 0.1
  done
}
sweep() {
  for group in "$1"bramble-*; do
    owner=${group##*/bramble-} owner=${owner%%-*}
    [ "$owner" != "${ENDED:-}" ] && [ -e "/proc/$owner" ] || remove "$group"
  done
}

case "$1" in
clear) in_control_groups remove; exit 0 ;;
sweep) NAMESPACE= in_control_groups sweep; exit 0 ;;
esac
in_control_groups join
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$FOLDER/up,workdir=$FOLDER/work" "$FOLDER/root"
echo "$NAME" >"$FOLDER/root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$NAME" >"$FOLDER/root/etc/hosts"
: >"$FOLDER/root/etc/resolv.conf"
# As real hosts allow it: reading whether the clock is synchronised, and units that reach some addresses and no others.
while :; do
  systemd-nspawn -D "$FOLDER/root" --boot --machine="$NAME" --register=no --keep-unit --console=pipe \
    --network-namespace-path="/run/netns/$NAMESPACE" --resolv-conf=off --kill-signal=SIGRTMIN+3 \
    --system-call-filter="adjtimex clock_adjtime clock_adjtime64 bpf" --capability=CAP_BPF,CAP_NET_ADMIN
  code=$?
  [ $code = 133 ] || exit $code # 133: the machine inside asks for a reboot
done
