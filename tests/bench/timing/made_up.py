"""Folders that tell of machines which are not here, as /proc and /sys would."""


def write_tree(root, files):
    """Write the files, path -> text, and give the folder."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    root.mkdir(exist_ok=True)
    return root


def process(pid, parent, name="python", ticks=(0, 0, 0, 0), switches=0):
    """The files of one process.  ticks: user, system, and those of its children that ended."""
    between = "0 " * 9  # from its group to its faults
    status = f"Name:\t{name}\nvoluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t{switches}\n"
    return {
        f"{pid}/stat": f"{pid} ({name}) S {parent} {between}{' '.join(map(str, ticks))} 20 0 1 0\n",
        f"{pid}/task/{pid}/status": status,
    }


def processors(user=0, nice=0, system=0, idle=0, iowait=0, irq=0, softirq=0, steal=0):
    """/proc/stat, in ticks.  Its guest time, which is in user already, is there to be left out."""
    total = f"cpu  {user} {nice} {system} {idle} {iowait} {irq} {softirq} {steal} {user} 0"
    return {"stat": f"{total}\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n"}
