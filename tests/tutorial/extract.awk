# Writes each block of code behind a line "<!-- tests: NAME -->" to the file NAME in the folder `out`.
/^<!-- tests: .* -->$/ { file = out "/" $3; next }
/^```/ && inside { close(file); file = ""; inside = 0; next }
/^```/ && file { inside = 1; printf "" > file; next }
inside { print > file }
