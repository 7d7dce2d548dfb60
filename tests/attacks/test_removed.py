"""A computer that was removed, while it takes part in something."""

from __future__ import annotations

import threading

from ..conftest import town, until


def test_a_removed_lender_is_not_asked_to_take_part_again(tmp_path):
    with town(tmp_path) as make:
        tower, desk = make("tower", "ann"), make("desk", "mallory")
        tower.create("casa")
        desk.join(tower)
        tower.knows("tower", "desk")
        desk.knows("tower", "desk")
        desk.net.allow("ann", "run", "compute")

        def lent():
            return desk.home.audit.read_text().count('"lent"')

        values = [str(number) for number in range(8)]
        running = threading.Thread(target=lambda: tower.net.run("sleep 2; echo {}", inputs=values))
        running.start()
        until(lambda: any(task.computer == "desk" for task in tower.net.log(1)), "desk takes part")
        tower.net.remove("desk")
        running.join()
        (job,) = tower.net.jobs()
        assert (job.done, job.failed) == (len(values), 0), "others did its tasks"
        assert any("does not take part" in note for note in job.notes), job.notes
        assert lent() == 1, "nor were it sent the session's new papers"
