# Sourced by the examples, from the project's root: stages that show their progress, keep their whole
# log, and are skipped once they are done.
bin=.venv/bin

step() { printf '\n== %s\n' "$1"; }

train() {  # directory of the checkpoints, then arguments of fairseq-train
  local dir=$1; shift
  if [ -e "$dir/done" ]; then echo "trained already"; return; fi
  "$bin/fairseq-train" "$@" --user-dir fairseq_ebm --save-dir "$dir" --cpu --seed 1 \
    --optimizer adam --log-format simple --log-interval "${LOG_EVERY:-100}" \
    2>&1 | tee "$dir.log" | grep --line-buffered -E 'num_updates|validation:|Error|error' || {
      echo "training failed; its whole log is $dir.log" >&2; exit 1; }
  test -e "$dir/checkpoint_best.pt"
  touch "$dir/done"
}
