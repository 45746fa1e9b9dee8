# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# holdfast - completion of commands, options, and names that the cluster knows.

# Names in a list that holdfast gives as JSON, with the --dir or --socket on the line so far.
_holdfast_names() {
	local -a where=()
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--dir | --socket) where+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}") ;;
		esac
	done
	holdfast "${where[@]}" --timeout 2 --json "$1" list 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",\{0,1\}$/\1/p'
}

# The words before the cursor that are neither options nor their values.
_holdfast_words() {
	local i
	words=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--json | --force | --dry-run | --keep | --accept-data-loss | --help | --version) ;;
		-*) i=$((i + 1)) ;;
		*) words+=("${COMP_WORDS[i]}") ;;
		esac
	done
}

_holdfast() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} list=''
	local -a words
	_holdfast_words
	case $before in
	--dir) mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
	--socket) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	--to) list=$(_holdfast_names host) ;;
	--in) mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
	--faults)
		list='kill-leg kill-primary lose-primary restart-primary kill-two kill-in-turn kill-all freeze-primary'
		list+=' isolate-primary freeze-host deaf-host cut-host flip-bytes full-disk move'
		;;
	--local) list='full none' ;;
	--failover) list='auto manual' ;;
	--layout) list='1+1 2+1 2+2 4+1 4+2 8+2 8+3' ;;
	--tenant | --size | --hosts | --cluster | --min-tolerance | --timeout | -n) return ;;
	--count | --time | --seed | --depth | --rate) return ;;
	*)
		list='--dir --socket --json --timeout --help'
		case "${words[0]-} ${words[1]-}" in
		' ') list+=' status why volume host promote failover events metrics dev torture' ;;
		'volume ') list='create list show set resize delete' ;;
		'host ') list='list show' ;;
		'dev ') list='up down kill start status' ;;
		'torture ')
			list+=' --count --time --seed --faults --layout --local --size --hosts --depth --rate'
			list+=' --in --keep'
			;;
		'volume create') list+=' --tenant --size --layout --local --hosts --min-tolerance --failover' ;;
		'volume set') list+=" --failover $(_holdfast_names volume)" ;;
		'volume resize') list+=" --size $(_holdfast_names volume)" ;;
		'volume delete') list+=" --force $(_holdfast_names volume)" ;;
		'volume show' | 'why ' | 'events ') list+=" $(_holdfast_names volume)" ;;
		'promote ' | 'promote '*) list+=" --to --dry-run --accept-data-loss $(_holdfast_names volume)" ;;
		'failover ' | 'failover '*) list+=" --to --dry-run $(_holdfast_names host)" ;;
		'host show') list+=" $(_holdfast_names host)" ;;
		'dev '*)
			[ "${words[1]}" = up ] && list+=' --hosts --cluster'
			if [ "${#words[@]}" = 2 ]; then
				mapfile -t COMPREPLY < <(compgen -d -W "$list" -- "$word")
				return
			fi
			;;
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$list" -- "$word")
}

complete -F _holdfast holdfast
