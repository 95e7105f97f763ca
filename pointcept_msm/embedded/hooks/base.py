"""The base class of every training hook in the embedded host (the six events of Pointcept's HookBase)."""


class HookBase:
    """Receives the trainer's events; `trainer` is a weak proxy that the trainer sets when it registers the hook.

    A hook with `state_dict()` / `load_state_dict(state)` is saved and restored by MSMCheckpointer.
    """

    trainer = None

    def before_train(self):
        pass

    def before_epoch(self):
        pass

    def before_step(self):
        pass

    def after_step(self):
        pass

    def after_epoch(self):
        pass

    def after_train(self):
        pass
