"""gdb: where do the parked fibers wait?  (x86-64; a live process or a core dump)

    gdb -x tools/gdb_fibers.py -p PID            or           gdb -x tools/gdb_fibers.py adjutant core
    (gdb) fibers            every fiber that does not run, with the functions it waits in
    (gdb) fibers turn       only those whose name contains "turn"

A parked fiber's registers stand in its struct context. Nothing of the process is changed: while a
fiber is shown, an unwinder says that the fiber's saved frame called the selected thread's newest
one.
"""

import gdb
import gdb.unwinder

# Index into mcontext_t.gregs: what a called function preserves, and where it stands.
SAVED_REGISTERS = {"r12": 4, "r13": 5, "r14": 6, "r15": 7, "rbp": 10, "rbx": 11, "rsp": 15, "rip": 16}
MAX_FRAMES = 100
BOTTOM = ("trampoline", "fiber_main", "__start_context")


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ParkedFiberUnwinder(gdb.unwinder.Unwinder):
    """Continues behind the newest frame with the frame of `self.fiber`, while that is set."""

    def __init__(self):
        super().__init__("parked fiber")
        self.fiber = None

    def __call__(self, pending_frame):
        if self.fiber is None or pending_frame.level() != 0:
            return None
        saved = self.fiber["context"]["machine"]["uc_mcontext"]["gregs"]
        # gdb gives up where a caller's stack lies below its callee's: so claim a place below it.
        pc = pending_frame.read_register("rip")
        below = saved[SAVED_REGISTERS["rsp"]].cast(pending_frame.read_register("rsp").type) - 64
        here = FrameId(below, pc)
        info = pending_frame.create_unwind_info(here)
        for name, index in SAVED_REGISTERS.items():
            # Cast to the register's own type: gregs are integers, rsp and rip are pointers.
            kind = pending_frame.read_register(name).type
            info.add_saved_register(name, saved[index].cast(kind))
        return info


class Fibers(gdb.Command):
    __doc__ = __doc__

    def __init__(self, unwinder):
        super().__init__("fibers", gdb.COMMAND_STACK)
        self.unwinder = unwinder

    def invoke(self, argument, from_tty):
        if "x86-64" not in gdb.execute("show architecture", to_string=True):
            raise gdb.GdbError("fibers: knows the registers of x86-64 only")
        runtime = gdb.lookup_global_symbol("fiber_runtime")
        if runtime is None:
            raise gdb.GdbError("fibers: this program has no fiber_runtime")
        runtime = runtime.value()
        shown = 0
        for fiber in all_fibers(runtime):
            name = fiber["name"].string()
            if argument not in name:
                continue
            shown += 1
            if fiber.address == runtime["running"]:
                print('fiber "%s" runs' % name)
                continue
            print('fiber "%s" %s' % (name, "waits" if fiber["waiting"] else "is ready"))
            self.backtrace(fiber)
        print("%d fibers" % shown)

    def backtrace(self, fiber):
        selected = gdb.selected_frame()
        self.unwinder.fiber = fiber
        gdb.invalidate_cached_frames()
        try:
            frame = gdb.newest_frame().older()
            for level in range(MAX_FRAMES):
                if frame is None or not frame.is_valid():
                    break
                print_frame(level, frame)
                if frame.name() in BOTTOM:
                    break
                frame = frame.older()
        finally:
            self.unwinder.fiber = None
            gdb.invalidate_cached_frames()
            if selected.is_valid():
                selected.select()


def all_fibers(runtime):
    fiber_type = gdb.lookup_type("struct fiber")
    offset = next(f.bitpos // 8 for f in fiber_type.fields() if f.name == "in_all")
    head = runtime["all"].address
    node = runtime["all"]["next"]
    while node != head:
        address = node.cast(gdb.lookup_type("long")) - offset
        yield address.cast(fiber_type.pointer()).dereference()
        node = node["next"]


def print_frame(level, frame):
    where = frame.find_sal()
    place = "%s:%d" % (where.symtab.filename, where.line) if where.symtab else "0x%x" % frame.pc()
    print("  #%-2d %s at %s" % (level, frame.name() or "?", place))


UNWINDER = ParkedFiberUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)
Fibers(UNWINDER)
