# Writes the C++ blocks of a Markdown file that follow the line "<!-- compiled by the tests -->" to
# OUT-1.cpp, OUT-2.cpp, ... and prints their names.
/^<!-- compiled by the tests -->/ { wanted = 1; next }
/^```cpp/ && wanted { inside = 1; wanted = 0; file = out "-" (++count) ".cpp"; print file; printf "" > file; next }
/^```/ { inside = 0 }
inside { print > file }
