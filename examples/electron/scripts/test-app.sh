#!/bin/sh
# Runs the tests in a real Electron, on a display of their own: from source, and packaged with the
# frozen worker. It installs what is missing of the system: a display, a window manager for the
# window's frame and focus, a keyboard for the native dialogs, and Electron's libraries.
set -eu
cd "$(dirname "$0")/.."

missing=
for tool in xvfb-run xauth openbox xdotool unzip; do
  command -v "$tool" >/dev/null || missing=yes
done
for library in libgtk-3.so.0 libnss3.so libasound.so.2 libgbm.so.1 libXss.so.1; do
  /sbin/ldconfig -p | grep -q "$library" || missing=yes
done
[ -z "$missing" ] || {
  apt-get update -qq
  apt-get install -qq --yes --no-install-recommends \
    xvfb xauth openbox xdotool unzip libgtk-3-0 libnss3 libasound2 libgbm1 libxss1
}
[ "$(id -u)" -ne 0 ] || unshare --user true || {
  echo "As root, Electron's sandbox needs user namespaces: allow them, or be another user." >&2
  exit 1
}

TEST_ELECTRON=$(sh scripts/electron.sh)
out=$(cd ../.. && pwd)/build/electron-app
version=$(ELECTRON_RUN_AS_NODE=1 "$TEST_ELECTRON" -p process.versions.electron)
echo "Electron $version"
npx --yes electron-builder@26.17.0 --linux dir -c.directories.output="$out" \
  -c.electronDist="$(dirname "$TEST_ELECTRON")" -c.electronVersion="$version" >"$out.log" 2>&1 ||
  { cat "$out.log" >&2 && exit 1; }

export TEST_ELECTRON TEST_PACKAGED="$out/linux-unpacked/transcriber"
exec xvfb-run --auto-servernum --server-args="-screen 0 1280x900x24" sh -c '
  openbox 2>/dev/null & trap "kill $!" EXIT
  node --test --test-concurrency=1 dist-app-test/'
