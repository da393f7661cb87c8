#!/usr/bin/env bash
# Every engine once for real, on the GPU of this machine: tools/gpu_check.sh OUT [--device cpu] [--small] [--only A,B]
# Leaves OUT/gpu_check.json and OUT/gpu_check.log. At most 6 minutes, no network. Wheels that lie in tools/wheels (such as
# tensorrt or onnxruntime-gpu) are unpacked into OUT/site first and used for this run alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n 2,4p "$0" | cut -c3-; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
python=${PYTHON:-python3}
export AVS_CACHE="$out/cache" PYTHONUNBUFFERED=1 PIP_NO_INDEX=1 HF_HUB_OFFLINE=1
paths="$here/..:$here"
if compgen -G "$here/wheels/*.whl" >/dev/null; then
    "$python" -m pip install --quiet --no-deps --upgrade --target "$out/site" "$here"/wheels/*.whl
    paths="$out/site:$paths"
fi
export PYTHONPATH="$paths${PYTHONPATH:+:$PYTHONPATH}"
"$python" "$here/gpu_check.py" "$out" "$@" 2>&1 | tee "$out/gpu_check.log"
