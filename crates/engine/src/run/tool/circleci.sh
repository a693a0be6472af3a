#!/bin/sh
# What a job can ask of the server that runs it. It is found as `circleci`, `circleci-agent` and
# `popsicle`; what it does not know is for the next program of that name in the search path.

name=${0##*/}
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac

fail() {
  printf '%s: %s\n' "$name" "$1" >&2
  exit 2
}

# Runs the next program of this name in the search path, if there is one.
hand_on() {
  real=$(CDPATH= cd -- "$here" && pwd -P)
  rest=$PATH:
  while [ -n "$rest" ]; do
    folder=${rest%%:*}
    rest=${rest#*:}
    [ -f "${folder:=.}/$name" ] && [ -x "$folder/$name" ] || continue
    [ "$(CDPATH= cd -- "$folder" && pwd -P)" = "$real" ] || exec "$folder/$name" "$@"
  done
  known='`step halt`, `tests glob`, `tests split` and `tests run`'
  printf '%s\n' "$name: in a job there are $known, and no other program \`$name\` to do this: $*" >&2
  exit 127
}

# The script that runs the steps looks for this file before each of them.
halt() {
  : >"$here/../halt" || fail "the job can't be halted"
}

# Prints what `$2` matches below `$1`, which is empty or ends in a slash. Only positional parameters are a
# function's own, so that is where all that outlives a call is kept.
walk() {
  case $2 in
    '') [ ! -e "$1" ] || printf '%s\n' "${1%/}" ;;
    /*) walk "${1:-/}" "${2#/}" ;;
    '**/**') walk "$1" '**' ;;
    '**/**/'*) walk "$1" "${2#"**/"}" ;;
    '**') walk "$1" '**/*' ;;
    '**/'*)
      walk "$1" "${2#"**/"}"
      for one in "$1"*/; do
        one=${one%/}
        # What a link leads to is found where it is; and it may lead in a circle.
        [ ! -d "$one" ] || [ -L "$one" ] || walk "$one/" "$2"
      done
      ;;
    */*)
      # Unquoted, and so a pattern.
      for one in "$1"${2%%/*}; do [ ! -d "$one" ] || walk "$one/" "${2#*/}"; done
      ;;
    *) for one in "$1"$2; do [ ! -e "$one" ] && [ ! -L "$one" ] || printf '%s\n' "$one"; done ;;
  esac
}

# Walks all that `$1` stands for with its alternatives in braces, the innermost first.
alternatives() {
  case $1 in
    *"$open"*"$close"*) ;;
    *) walk '' "$1"; return ;;
  esac
  # Before the brace, the alternatives, after the brace.
  head=${1%%"$close"*}
  case $head in *"$open"*) ;; *) walk '' "$1"; return ;; esac
  set -- "${head%"$open"*}" "${head##*"$open"}," "${1#*"$close"}"
  while [ -n "$2" ]; do
    alternatives "$1${2%%,*}$3"
    set -- "$1" "${2#*,}" "$3"
  done
}

glob() {
  [ $# != 0 ] || fail 'tests glob: say which patterns: "test/**/*_test.py"'
  open='{' close='}'
  IFS=
  for pattern; do alternatives "$pattern"; done | LC_ALL=C sort -u
}

# Takes in what `tests split` and `tests run` are told.
options() {
  by=name index=${CIRCLE_NODE_INDEX:-0} total=${CIRCLE_NODE_TOTAL:-1} told= lists= verbose=
  what=$1
  shift
  while [ $# != 0 ]; do
    case $1 in
      --split-by=* | --timings-type=* | --time-default=* | --index=* | --total=* | --command=*)
        option=${1%%=*} value=${1#*=}
        ;;
      --split-by | --timings-type | --time-default | --index | --total | --command)
        [ $# -gt 1 ] || fail "tests $what: \`$1\` needs a value"
        option=$1 value=$2
        shift
        ;;
      --verbose | -v | --show-counts) option=--verbose value=1 ;;
      --) shift; break ;;
      -?*) fail "tests $what: there is no option \`$1\`" ;;
      *) break ;;
    esac
    case $option in
      --split-by) by=$value ;;
      --index) index=$value ;;
      --total) total=$value ;;
      --command) told=$value ;;
      --verbose) verbose=1 ;;
    esac
    shift
  done
  case $by in
    name | filesize) ;;
    timings)
      printf '%s\n' "$name: no times of earlier runs are at hand here: splitting by name" >&2
      by=name
      ;;
    *) fail "tests $what: --split-by is \`name\`, \`filesize\` or \`timings\`, not \`$by\`" ;;
  esac
  for number in "$index" "$total"; do
    case $number in
      '' | *[!0-9]*) fail "tests $what: --index and --total are numbers, not \`$number\`" ;;
    esac
  done
  [ "$index" -lt "$total" ] ||
    fail "tests $what: there is no node $index of $total: they count from 0"
  if [ $# != 0 ]; then
    [ "$what" = split ] || fail "tests $what: names are read from the standard input, not given: \`$1\`"
    names=$(cat -- "$@") || fail "tests $what: the lists of names can't be read"
  else
    names=$(cat)
  fi
}

# Each line of the standard input with its file's size before it.
sizes() {
  while IFS= read -r one; do
    size=0
    if [ -f "$one" ]; then
      size=$(wc -c <"$one") || size=0
    else
      printf '%s\n' "$name: \`$one\` is no file: it counts as an empty one" >&2
    fi
    printf '%s %s\n' "$((size))" "$one"
  done
}

# Of the lines of `$names`, those of this node.
share() {
  sorted=$(printf '%s\n' "$names" | while IFS= read -r one; do
    [ -z "$one" ] || printf '%s\n' "$one"
  done | LC_ALL=C sort)
  [ -n "$sorted" ] || return 0
  if [ "$by" = name ]; then
    count=0
    printf '%s\n' "$sorted" | while IFS= read -r one; do
      [ "$((count % total))" != "$index" ] || printf '%s\n' "$one"
      count=$((count + 1))
    done
    return
  fi
  # The largest first, each to the node that has the least.
  printf '%s\n' "$sorted" | sizes | LC_ALL=C sort -k 1,1nr -k 2 | {
    node=0
    while [ "$node" -lt "$total" ]; do
      eval "load_$node=0"
      node=$((node + 1))
    done
    while read -r size one; do
      least=0 node=1
      while [ "$node" -lt "$total" ]; do
        [ "$((load_$node))" -ge "$((load_$least))" ] || least=$node
        node=$((node + 1))
      done
      # Empty files would all go to one node.
      eval "load_$least=$((load_$least + size + 1))"
      [ "$least" != "$index" ] || printf '%s\n' "$one"
    done
  }
}

split() {
  options split "$@"
  [ -z "$told" ] || fail 'tests split: `--command` is for `tests run`'
  share
}

# Runs a command with this node's names at its standard input.
run() {
  options run "$@"
  [ -n "$told" ] || fail 'tests run: say what to run: --command="xargs pytest"'
  # Blanks part names here, and lines do.
  names=$(set -f; printf '%s\n' $names)
  mine=$(share)
  if [ -z "$mine" ]; then
    printf '%s\n' "$name: no tests for node $index of $total" >&2
    exit 0
  fi
  [ -z "$verbose" ] || printf '%s\n' "$name: node $index of $total runs:" "$mine" >&2
  sh=sh
  ! command -v bash >/dev/null 2>&1 || sh=bash
  printf '%s\n' "$mine" | "$sh" -c "$told"
}

case "$1 $2" in
  'step halt') halt ;;
  'tests glob') shift 2; glob "$@" ;;
  'tests split') shift 2; split "$@" ;;
  'tests run') shift 2; run "$@" ;;
  *) hand_on "$@" ;;
esac
