#!/bin/bash
# Trains teachers, then students that learn from them, on a rented GPU. Run it again to go on where it stopped.
#
#   training/gpu/run.sh DATA [FOLDER]     FER2013's csv files or their folder; results go to FOLDER (results-gpu)
#
# Variables: TEACHERS and STUDENTS (names below), TEACHER_EPOCHS, STUDENT_EPOCHS, START (a folder of fer-train fetch),
# PRECISION, KERAS_BACKEND.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
data=$1
out=${2:-results-gpu}
teachers=${TEACHERS:-face-0 face-1 deep wide}
students=${STUDENTS:-student student-fer2013 tiny}
start=${START:-$out/start}
precision=${PRECISION:-mixed_bfloat16}
export KERAS_BACKEND=${KERAS_BACKEND:-jax}
export XLA_PYTHON_CLIENT_PREALLOCATE=false          # else JAX takes three quarters of the GPU's memory
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$out/compiled}
mkdir -p "$out"

# train NAME OPTIONS...: does nothing if it is done, and goes on if it was interrupted.
train() {
    local name=$1
    shift
    if [ -f "$out/$name/model.keras" ] && [ ! -d "$out/$name/unfinished" ]; then
        echo "$name: is done"
        return
    fi
    local resume=()
    if compgen -G "$out/$name/unfinished/epoch-*" > /dev/null; then resume=(--resume); else rm -rf "${out:?}/$name"; fi
    echo "$name: $(date +%H:%M:%S)"
    fer-train fit --data "$data" --precision "$precision" "$@" --out "$out/$name" "${resume[@]}" 2>&1 | tee -a "$out/$name.log"
}

for name in $teachers; do
    epochs=(--epochs "${TEACHER_EPOCHS:-100}")
    case $name in
        face-*)
            [ -f "$start/model.keras" ] || fer-train fetch resnet29-face --data "$data" --out "$start"
            train "$name" --recipe face-teacher --init "$start" --seed "${name#face-}" "${epochs[@]}" ;;
        deep) train "$name" --recipe teacher --architecture edge-deep "${epochs[@]}" ;;
        wide) train "$name" --recipe teacher --architecture resnet-wide "${epochs[@]}" ;;
        *) echo "teacher '$name' is unknown. Choose face-0, face-1 (any seed), deep or wide" >&2; exit 2 ;;
    esac
done

panel=()
for name in $teachers; do panel+=(--teacher "$out/$name"); done
for name in $students; do
    train "$name" --recipe "$name" --epochs "${STUDENT_EPOCHS:-300}" "${panel[@]}"
done

tar czf "$out.tar.gz" --exclude unfinished --exclude compiled -C "$(dirname "$out")" "$(basename "$out")"
echo "$out.tar.gz: all models, logs and reports. Next, at home: fer-quantize $out/student --data DATA --check"
