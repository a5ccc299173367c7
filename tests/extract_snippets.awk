# Writes the C++ blocks of a Markdown file that follow the line "<!-- compiled by the tests -->" to
# OUT-1.cpp, OUT-2.cpp, ... and prints their names. A block without a language right after one is
# what it prints: that goes to OUT-1.txt, which is empty without such a block.
function begin(suffix) { file = out "-" count suffix; printf "" > file; inside = 1 }
/^<!-- compiled by the tests -->/ { wanted = 1; next }
/^```cpp/ && wanted { ++count; begin(".txt"); begin(".cpp"); print file; wanted = 0; code = 1; next }
/^```$/ && inside { inside = 0; printed = code; code = 0; next }
/^```$/ && printed { begin(".txt"); printed = 0; next }
inside { print > file; next }
/^[^ ]/ { printed = 0 }
