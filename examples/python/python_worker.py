import multiprocessing_cpp as mp

words, results, letters = mp.arguments  # as the C++ program has given them

for word in iter(words.get, None):
    with letters.get_lock():
        letters.value += len(word)
    results.put((word, word.title()))
