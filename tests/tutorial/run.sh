#!/usr/bin/env bash
# Does what docs/training.md says, with the files and commands of the page.
#   run.sh PAGE INSTALLED WORK     INSTALLED is the installed package; WORK is made anew
# CXX and CMAKE_GENERATOR say how the project of the page is built.
set -euo pipefail
page=$1 installed=$2 work=$3
here=$(cd "$(dirname "$0")" && pwd)

fail() { echo "$*" >&2; exit 1; }

# prints FILE BLOCK: the lines of the block stand in the file one after another
prints() {
  [ "$(grep -Fx -f "$2" "$1")" = "$(cat "$2")" ] ||
    fail "the page says that this is printed: $(cat "$2")"$'\n'"it is: $(cat "$1")"
}

# prints_like FILE BLOCK: the same, with other lines between and other figures. "..." stands for any lines.
prints_like() {
  awk '{ gsub(/[0-9][0-9.,]*/, "#"); gsub(/ +/, " ") }
    NR == FNR { if ($0 != "...") wanted[++count] = $0; next }
    $0 == wanted[found + 1] { ++found }
    END { if (found < count) { print "missing: " wanted[found + 1]; exit 1 } }' "$2" "$1" ||
    fail "the page says that this is printed: $(cat "$2")"$'\n'"it is: $(cat "$1")"
}

rm -rf "$work"
mkdir -p "$work/words" "$work/leak"
ln -s "$installed" "$work/maskgrad"
export HOME=$work
cd "$work/words"
awk -v out=. -f "$here/extract.awk" "$page"
[ "$(wc -l <main.cpp)" -le 84 ] || fail "main.cpp has $(wc -l <main.cpp) lines"
[ "$(wc -l <CMakeLists.txt)" -le 5 ] || fail "CMakeLists.txt has $(wc -l <CMakeLists.txt) lines"
sh -e data.sh
lines=$(awk '{ printf "%d,%03d", $1 / 1000, $1 % 1000 }' <(wc -l <words.txt))
grep -q "makes $lines random words" "$page" || fail "words.txt has $lines lines"
grep -q "first line is \`$(head -n 1 words.txt)\`" "$page" || fail "it begins with $(head -n 1 words.txt)"

cp CMakeLists.txt words.txt build.sh "$work/leak"
sed 's/Decoder/Encoder/g; s|runs/words|runs/leak|' main.cpp >"$work/leak/main.cpp"
sh -e build.sh >build.txt 2>&1 || fail "$(cat build.txt)"
(cd "$work/leak" && sh -e build.sh >build.txt 2>&1) || fail "$(cat "$work/leak/build.txt")"

# It learns, and answers.
sh -e run.sh >run.out 2>&1 || fail "$(cat run.out)"
awk '/^validation after step 800 / { learned = $6 < 0.05 && $8 > 0.99 && $10 > 0.98 }
  END { exit !learned }' run.out || fail "it has not learned: $(cat run.out)"
prints run.out run.txt

# Once more: it only answers.
sh -e run.sh >again.out 2>&1 || fail "$(cat again.out)"
diff again.out run.txt || fail "a run that has ended trains no more"

sh -e look.sh >look.out 2>&1 || fail "$(cat look.out)"
prints_like look.out look.txt
for command in eval predict generate check; do
  ~/maskgrad/bin/maskgrad $command runs/words >needs.out 2>&1 && fail "$command runs a model that it cannot have"
  grep -q "only that program can run its model" needs.out || fail "$(cat needs.out)"
done
grep -q "embed.weight .* \[257, 64\]" look.out || fail "$(cat look.out)"
tail -n 1 look.out | diff - <(echo runs/words/report.html) || fail "$(cat look.out)"
grep -q letters runs/words/report.html || fail "the report shows no metric"

# What is wrong is said before anything is trained, and leaves no folder.
mkdir "$work/wrong"
(
  cd "$work/wrong"
  program=$work/words/build/reverse
  says() { ! "$program" "${@:2}" >said.txt 2>&1 && grep -qF "$1" said.txt && [ ! -e runs ] || fail "$(cat said.txt)"; }
  says "[words.txt] is not in this folder" 800 drawer
  says "[reverse] say how many steps to train, and then words"
  says "[reverse] say how many steps to train, and then words" many drawer
  says "[reverse] 'incomprehensible' is too long" 800 drawer incomprehensible
)

# Stopped by Ctrl-C, long before its last step, it goes on from there.
mkdir "$work/stop"
cd "$work/stop"
ln -s ../words/words.txt ../words/build .
build/reverse 1000000 >stopped.txt 2>&1 &
program=$!
until grep -q 'validation after step 100 ' stopped.txt; do
  kill -0 $program || fail "ended before step 100: $(cat stopped.txt)"
  sleep 0.05
done
kill -INT $program
code=0
wait $program || code=$?
[ $code = 130 ] || fail "stopped, with code $code: $(cat stopped.txt)"
step=$(sed -n 's|^stopped after step \([0-9]*\)/1000000$|\1|p' stopped.txt)
[ -n "$step" ] || fail "$(cat stopped.txt)"
build/reverse $((step + 20)) drawer >on.out 2>&1 || fail "$(cat on.out)"
grep -q "^goes on after step $step/$((step + 20))\$" on.out || fail "it does not say where it goes on: $(cat on.out)"
grep -q 'validation after step 100 ' on.out && fail "it began anew: $(cat on.out)"
grep -q '^drawer>' on.out || fail "it does not answer: $(cat on.out)"

# Attention that is not causal is proved to leak, and does not generate.
cd "$work/leak"
build/reverse 20 stressed >leak.out 2>leak.err && fail "it generates: $(cat leak.out)"
prints leak.out ../words/leak.txt
diff leak.err ../words/refuses.txt
