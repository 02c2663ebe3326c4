# How Doxygen reads the headers, line by line.

# The title of a paragraph is its first word, not the whole line.
s/@par (Blocking|Processes|Signals|Source|Threads) /@titled{\1} /

# Bases with the public calls of several classes are shown, though they are in detail.
s/public detail::LocalPool<.*> \{/public PoolInterface<detail::LocalBackend> {/
s/public detail::(PoolInterface|StandardLockable)/public \1/
