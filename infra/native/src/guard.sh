# Stops what one launcher started and removes its run folder. Started by the launcher before any server, with the reading end of a
# pipe as standard input and the run folder as first argument. The launcher closes the pipe when it is done; the kernel closes it
# when the launcher is killed. So every way of ending is this one way.
trap '' HUP INT TERM
cd /
run=$1
cat >/dev/null

# From here on no server can start: each writes its pid file first, and its folder is gone.
pids=$run/pids-at-the-end
mv "$run/pids" "$pids"

# A process is one of ours only while its working folder lies inside the run folder: a pid may have been given to somebody else.
# One without a working folder is a zombie; while it has more than one thread, it still dies.
ours() {
    case "$(readlink "/proc/$1/cwd" 2>/dev/null)" in
    "$run"/*) return 0 ;;
    "") [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -gt 1 ] ;;
    *) return 1 ;;
    esac
}

# Prints "name pid" of each server that still runs.
running() {
    for file in "$pids"/*; do
        [ -f "$file" ] || continue
        pid=$(cat "$file")
        if [ -n "$pid" ] && ours "$pid"; then echo "${file##*/} $pid"; fi
    done
}

# The data is thrown away, so Postgres need not write a checkpoint: QUIT is its immediate shutdown. Each leads its own process group;
# the others' groups are told as a whole, since compose may have started a process that does the work.
running | while read -r name pid; do
    if [ "$name" = postgres ]; then kill -QUIT "$pid"; else kill -TERM "-$pid" || kill -TERM "$pid"; fi
done 2>/dev/null

tenths=0
while [ -n "$(running)" ] && [ "$tenths" -lt 100 ]; do
    sleep 0.1
    tenths=$((tenths + 1))
done
running | while read -r name pid; do kill -KILL "$pid"; done 2>/dev/null

if [ -f "$run/down" ]; then sh "$run/down"; fi
rm -rf -- "$run"
