#!/bin/sh
# Installs the browser for the tests, if there is none.
set -eu
command -v chromium >/dev/null || command -v google-chrome >/dev/null || {
  apt-get update -qq
  apt-get install -qq --yes --no-install-recommends chromium
}
