#!/usr/bin/env bash
# Makes docs/traversal.png, the README's picture: the viewer's page of docs/teapot.obj in headless Chromium.
# Needs meto and trimesh in PYTHON (default python), and chromium:   bash meto/docs/picture.sh
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python}" -m meto view teapot.obj --backend LR_ABSCO --bins 512 -o "$work/teapot.html"
chromium --headless --no-sandbox --disable-gpu --enable-unsafe-swiftshader --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$work/profile" \
    --window-size=1160,720 --hide-scrollbars --virtual-time-budget=2000 --screenshot="$PWD/traversal.png" \
    "file://$work/teapot.html#frame=245&theme=dark&yaw=0.75&pitch=0.38" 2>"$work/log" || { cat "$work/log"; exit 1; }
