# What documentation.filter makes of a Markdown page: headings and links with names that no other
# page has. The sections of the guide that have a topic are groups of names: with groups=1 these are
# printed, each as a comment that Doxygen reads, and else the rest of the page, with links to them.

# As GitHub makes it of a heading, but with _ where that has -.
function slug(text) {
    text = tolower(text)
    gsub(/[^a-z0-9 _-]/, "", text)
    gsub(/[ -]/, "_", text)
    return text
}

# The name of the page at the end of a link.
function page_of(path) {
    if (path == "") return prefix
    if (path == "README.md") return "results"  # in the folder of another page: only there
    if (path ~ /python\/README\.md$/) return "python"
    if (path ~ /results\/README\.md$/) return "results"
    if (path ~ /benchmarks\/README\.md$/) return "benchmarks"
    if (path ~ /examples\/README\.md$/) return "guide"
    if (path ~ /(CONTRIBUTING|CHANGES|SECURITY|[a-z_]+)\.md$/) {
        sub(/.*\//, "", path)
        sub(/\.md$/, "", path)
        return tolower(path)
    }
    return prefix == "python" ? "guide" : "readme"  # ../README.md
}

# A line with its links to other pages and to headings changed.
function linked(line,    done, target, path, anchor) {
    while (match(line, /\]\(([A-Za-z0-9_.\/-]*\.md)?(#[a-z0-9_-]+)?\)/)) {
        target = substr(line, RSTART + 2, RLENGTH - 3)
        if (target == "") {
            done = done substr(line, 1, RSTART + RLENGTH - 1)
            line = substr(line, RSTART + RLENGTH)
            continue
        }
        path = anchor = target
        sub(/#.*/, "", path)
        if (sub(/^[^#]*#/, "", anchor)) gsub(/-/, "_", anchor); else anchor = ""
        done = done substr(line, 1, RSTART + 1) "#" page_of(path) (anchor == "" ? "" : "_" anchor) ")"
        line = substr(line, RSTART + RLENGTH)
    }
    return done line
}

/^```/ { in_code = !in_code }
!in_code && /^## / {
    if (is_group && groups) print "*/"
    name = prefix "_" slug(substr($0, 4))
    is_group = prefix == "guide" && index(" " topics, " " slug(substr($0, 4)) " ") > 0
    if (is_group && groups) print "/** @defgroup " name " " substr($0, 4)
    if (is_group && !groups && !listed++) print "## Topics {#" prefix "_topics}\n"
    if (is_group && !groups) print "- [" substr($0, 4) "](#" name ")"
    if (is_group) next
}
is_group != groups { next }
in_code || !/^#+ / { print in_code ? $0 : linked($0); next }
/^# / && prefix == "readme" { print; next }  # the main page has a name of its own
{
    level = index($0, " ")
    title = substr($0, level + 1)
    print (is_group ? substr($0, 3) : $0) " {#" (level == 2 ? prefix : prefix "_" slug(title)) "}"
}
END { if (is_group && groups) print "*/" }
