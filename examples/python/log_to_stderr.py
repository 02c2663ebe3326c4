import logging
import multiprocessing as mp


def work(amount):
    mp.get_logger().info("%d to do", amount)
    mp.get_logger().debug("below the level: never formatted")
    if amount > 10:
        mp.get_logger().warning("%d is much", amount)


if __name__ == "__main__":
    mp.log_to_stderr(logging.INFO)
    for amount in [7, 12]:
        process = mp.Process(target=work, args=(amount,))
        process.start()
        process.join()
    mp.get_logger().error("nothing is left to do")
