#!/usr/bin/env bash
# Does what README says to somebody who has just cloned the project: `npm ci && npm start`. Passes if the demo ends with
# equal digests at both ends, nothing copied, and every page back.
# usage: tools/fresh-clone.sh [--worktree]     (--worktree: take the files as they are here, not as committed)
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d "${TMPDIR:-/tmp}/devmem-tcp-clone.XXXXXX")
trap 'rm -rf "$folder"' EXIT

if [ "${1:-}" = --worktree ]; then
  mkdir "$folder/clone"
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    # What has been deleted but not yet committed is still listed.
    [ -e "$file" ] && printf '%s\0' "$file"
  done | tar --create --null --files-from - | tar --extract --directory "$folder/clone"
else
  git clone --quiet --no-hardlinks . "$folder/clone"
fi
cd "$folder/clone"

SECONDS=0
npm ci && npm start > "$folder/demo.txt"
echo "fresh-clone: npm ci && npm start took ${SECONDS} s"
cat "$folder/demo.txt"

# The picture and the table are for people; what they must add up to is the JSON document.
npm start --silent -- --size 64MiB --json > "$folder/demo.json"
node --input-type=module - "$folder/demo.json" << 'EOF'
import { readFileSync } from 'node:fs';
const result = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { copied_bytes: copied, pages_bound: bound, pages_free: free } = result.devmem;
if (!/^[0-9a-f]{64}$/.test(result.digest)) throw new Error(`no SHA-256 digest: ${result.digest}`);
if (result.digest !== result.sent_digest) throw new Error(`sent ${result.sent_digest}, received ${result.digest}`);
if (copied !== 0) throw new Error(`copied_bytes is ${copied}, not 0`);
if (free !== bound) throw new Error(`${bound - free} of ${bound} pages were not given back`);
console.log('fresh-clone: ok');
EOF
