# What ci/check and ci/packages have in common: they define functions step_NAME and the list `steps` (and `named_steps`, those that
# are run by name alone, or with --all; `waiting_steps` run beside those after them), and call run_steps. Sourced before that; goes to
# the repository's root.
# shellcheck shell=bash

# As it was called, for messages.
program="ci/$(basename "$0")"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd "$root"
# One place for everything that is built or installed here.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
[[ $CARGO_TARGET_DIR == /* ]] || CARGO_TARGET_DIR="$root/$CARGO_TARGET_DIR"
logs="$CARGO_TARGET_DIR/check"
if [[ ! -t 1 ]]; then
    export NO_COLOR=1 CARGO_TERM_COLOR=never
fi

# shellcheck source=tools.sh
source ci/tools.sh

# Runs one step in a shell of its own, with nothing to read from. (Not behind `if` or `||`: that would turn `set -e` off in it.)
run() {
    local step=$1 start=$SECONDS status
    printf '== %s' "$step"
    set +e
    if [[ $verbose ]]; then
        printf '\n'
        (set -e; "step_$step") </dev/null
    else
        (set -e; "step_$step") </dev/null >"$logs/$step.log" 2>&1
    fi
    status=$?
    set -e
    if ((status == 0)); then
        printf '%s (%d s)\n' "${verbose:+== $step}" $((SECONDS - start))
        return
    fi
    printf '%s FAILED (%d s)\n' "${verbose:+== $step}" $((SECONDS - start))
    [[ $verbose ]] || cat "$logs/$step.log"
    printf '%s: %s failed with exit code %d. This step alone: %s %s\n' "$program" "$step" "$status" "$program" "$step" >&2
    exit 1
}

# run_steps ARGUMENT…: what the command line says.
run_steps() {
    verbose=''
    [[ -v named_steps ]] || local named_steps=()
    [[ -v waiting_steps ]] || local waiting_steps=()
    local chosen=() argument step
    for argument in "$@"; do
        case $argument in
            --list)
                printf '%s\n' "${steps[@]}"
                ((${#named_steps[@]} == 0)) || printf '%s (by name, or with --all)\n' "${named_steps[@]}"
                exit
                ;;
            --all) chosen+=("${steps[@]}" "${named_steps[@]}") ;;
            -h | --help)
                sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$program"
                exit
                ;;
            -v | --verbose) verbose=yes ;;
            *)
                if ! declare -F "step_$argument" >/dev/null; then
                    echo "$program: there is no step '$argument'; the steps are: ${steps[*]} ${named_steps[*]}" >&2
                    exit 2
                fi
                chosen+=("$argument")
                ;;
        esac
    done
    ((${#chosen[@]})) || chosen=("${steps[@]}")

    mkdir -p "$logs"
    local -A others=()
    for step in "${chosen[@]}"; do
        if [[ " ${waiting_steps[*]} " == *" $step "* ]]; then
            (run "$step") >"$logs/$step.run" 2>&1 &
            others[$step]=$!
        else
            run "$step"
        fi
    done
    local failed=''
    for step in "${!others[@]}"; do
        wait "${others[$step]}" || failed=yes
        cat "$logs/$step.run"
    done
    [[ ! $failed ]] || exit 1
    echo "$program: ${#chosen[@]} of $((${#steps[@]} + ${#named_steps[@]})) steps passed in $SECONDS s"
}
