#!/bin/sh
# The browser that the tests drive, where there is none.
set -eu
command -v chromium >/dev/null || command -v google-chrome >/dev/null || {
  apt-get update -qq
  apt-get install -qq --yes --no-install-recommends chromium
}
