# Runs a command in the place: inside.sh ROOT REPOSITORY COMMAND…
# Its mounts vanish with the namespace that the caller has made for it.
set -eu
root=$1 repository=$2
shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
# Where Wine reads how many processors there are.
mount --bind /sys/devices/system/cpu "$root/sys/devices/system/cpu"
mount --bind "$repository" "$root/repo"
# OpenMP would bind its threads with GetNumaNodeProcessorMaskEx, which Wine lacks.
exec chroot "$root" env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 XDG_RUNTIME_DIR=/tmp \
  WINEPREFIX=/opt/wine WINEDEBUG=-all KMP_AFFINITY=disabled \
  PYTHONPYCACHEPREFIX=C:/bytecode sh -c \
  'cd /repo; "$@"; exit $?' sh "$@"
