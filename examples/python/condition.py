import multiprocessing as mp


def play(player, word, condition, turn, said):
    for _ in range(3):
        with condition:
            condition.wait_for(lambda: turn.value == player)
            said.append(word)
            turn.value = 1 - player
            condition.notify()


if __name__ == "__main__":
    with mp.Manager() as manager:
        condition = mp.Condition()
        turn = mp.RawValue("i", 0)
        said = manager.list()
        ping = mp.Process(target=play, args=(0, "ping", condition, turn, said))
        pong = mp.Process(target=play, args=(1, "pong", condition, turn, said))
        ping.start()
        pong.start()
        ping.join()
        pong.join()
        print(*said, sep="\n")
