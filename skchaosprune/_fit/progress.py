"""Progress of a fit: printed lines, and tasks of scikit-learn's callbacks."""

from contextlib import contextmanager, nullcontext

from skchaosprune._text import printable, shorten

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9, or where the names have moved

    class CallbackSupportMixin:
        """Take the place of scikit-learn's, without ``set_callbacks``."""

        def _init_callback_context(self, **kwargs):
            return None

    def with_callbacks(method):
        """Take the place of scikit-learn's."""
        return method


_N_SHARED = 2  # phases: dense training and scoring


class Progress:
    """Reports the phases of a fit, and how far each is.

    The one part of a fit that holds the estimator, as scikit-learn's callbacks require.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is, under ``with_callbacks``. Lines are printed if it is verbose.
    rows : tuple
        ``X``, ``y`` and ``sample_weight`` (or None) as fit got them, for callbacks.
    plans : list of FitPlan
        Fits that share their first training and its scores; one for ``fit``.

    Attributes
    ----------
    phases : list of str
        Names of the phases that have begun.
    """

    def __init__(self, estimator, rows, plans):
        X, y, sample_weight = rows
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._seen = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._owner = shorten(type(estimator).__name__)
        self._verbose = estimator.verbose
        self._has_told_of_kernels = False
        self._as_fitted = plans[0].as_fitted
        self.phases = []
        self._running = []  # tasks, each in the one before
        n_phases = _N_SHARED + sum(plan.n_phases - _N_SHARED for plan in plans)
        context = estimator._init_callback_context(max_subtasks=n_phases)
        # tasks that nobody hears of are not worth 5 % of the quickest epochs
        self._fit = context if getattr(estimator, "_skl_callbacks", None) else None
        self._begin(self._fit)

    def say(self, text):
        """Print one line."""
        if self._verbose:
            # a subclass may have a name that the output cannot show
            print(printable(f"[{self._owner}] {text}"), flush=True)

    @contextmanager
    def training(self, name, n_epochs, *, may_stop=False):
        """Give the ``begin`` and ``end`` of the epochs of a training.

        With ``may_stop``, ``end`` returns whether a callback asks for the end of it.
        """
        with self._phase(name, n_epochs) as task:
            show = self._printer(n_epochs, f"{name}: epoch {{}}/{n_epochs}".format)
            epochs = _Epochs(self, task, show, may_stop)
            yield epochs
            epochs.close()

    @contextmanager
    def scoring(self, name, n_weights):
        """Give the function to call with the number of weights that are scored."""
        marks = _marks(n_weights)
        with self._phase(name, len(marks)) as task:
            show = self._printer(n_weights, f"{name}: weight {{}}/{n_weights}".format)
            step = self._open(task, "part")

            def reach(done):
                nonlocal step
                show(done)
                while marks and marks[0] <= done:
                    marks.pop(0)
                    self._end(step)
                    step = self._open(task, "part") if marks else None

            yield reach

    @contextmanager
    def descent(self, name, cuts):
        """Give the function to call with each round's number and its loss.

        ``cuts`` say what is left after each round.
        """
        left = [int(cut.n_kept.sum()) for cut in cuts]
        with self._phase(name, len(left)) as task:
            show = self._printer(
                len(left), lambda number: f"{name}: {left[number - 1]} weights left"
            )

            def reach(number, loss):
                show(number, loss)
                self._end(self._open(task, "round"))

            yield reach

    @contextmanager
    def swaps(self, name, n_swaps):
        """Give the function to call with each swap's number and the loss so far."""
        with self._phase(name, n_swaps) as task:
            show = self._printer(n_swaps, f"{name}: swap {{}}/{n_swaps}".format)

            def reach(number, loss):
                show(number, loss)
                self._end(self._open(task, "swap"))

            yield reach

    def skip(self, name):
        """Tell of a phase that took no time."""
        with self._phase(name, 0):
            pass

    def abandon_phase(self):
        """End a phase that an error has cut short, and what is open in it."""
        while len(self._running) > 1:
            self._end(self._running[-1])

    def end(self, learned=None):
        """Tell that all is done; ``learned`` are the attributes that fit will keep."""
        self._end(self._fit, None if learned is None else lambda: learned)

    @contextmanager
    def _phase(self, name, n_steps):
        self.phases.append(name)
        task = self._open(self._fit, name, n_steps)
        with self._hear_compilations():
            yield task
        self._end(task)

    def _hear_compilations(self):
        if not self._verbose:
            return nullcontext()
        from skchaosprune._kernels.jit import hear_compilations

        return hear_compilations(self._tell_of_kernels)

    def _tell_of_kernels(self, is_kept):
        """Print, once per fit, that kernels are compiled, and whether they are kept."""
        if self._has_told_of_kernels:
            return
        self._has_told_of_kernels = True
        if is_kept:
            self.say("compiling kernels, once per installation")
        else:
            self.say(
                "compiling kernels, again in every process: no cache folder can be "
                "written, set NUMBA_CACHE_DIR to one that can"
            )

    def _printer(self, total, write):
        """Return a function ``(done, loss=None)`` that prints about ten times.

        ``write`` is a function from the number done to a text.
        """
        from skchaosprune._training.threads import stop_at_exit

        marks = _marks(total)

        def show(done, loss=None):
            stop_at_exit()
            # scoring advances in blocks, which may step over a mark
            if marks and marks[0] <= done:
                marks[:] = [mark for mark in marks if mark > done]
                tail = "" if loss is None else f", loss {loss:.4f}"
                self.say(f"{write(done)}{tail}")

        return show

    def _open(self, parent, name, n_subtasks=0):
        """Begin a task in another; tasks are None without scikit-learn's callbacks."""
        if parent is None:
            return None
        task = parent.subcontext(task_name=name, max_subtasks=n_subtasks)
        self._begin(task)
        return task

    def _begin(self, task):
        if task is not None:
            self._running.append(task)
            task.call_on_fit_task_begin(**self._seen)

    def _end(self, task, learn=None):
        """End a task; return whether a callback asks for the end of what it is in.

        ``learn`` returns the attributes of an estimator that is fitted so far.
        """
        if task is None:
            return False
        self._running.remove(task)
        # without this, names of an earlier fit would be taken for this one's
        unnamed = {"feature_names_in_": None}
        attributes = None if learn is None else lambda: unnamed | learn()
        return task.call_on_fit_task_end(
            **self._seen, reconstruction_attributes=attributes
        )


class _Epochs:
    """The epochs of one training, one after the other."""

    def __init__(self, progress, training, show, may_stop):
        self._progress, self._training = progress, training
        self._show, self._may_stop = show, may_stop
        self._epoch = None

    def begin(self):
        self._epoch = self._progress._open(self._training, "epoch")

    def end(self, number, loss, params):
        """Note the epoch's number, its loss, and a function for flat parameters."""
        self._show(number, loss)
        epoch, self._epoch = self._epoch, None
        stop = self._progress._end(epoch, lambda: self._progress._as_fitted(params()))
        return stop and self._may_stop

    def close(self):
        """End an epoch that a skorch callback has cut short."""
        if self._epoch is not None:
            self._progress._end(self._epoch)


def _marks(total):
    """About ten numbers on the way to a total, which is the last one."""
    return sorted({1, *(max(1, round(total * part / 10)) for part in range(1, 11))})
