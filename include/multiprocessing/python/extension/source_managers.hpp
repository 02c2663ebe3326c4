// multiprocessing/python/extension/source_managers.hpp
//
// Manager, with its dicts and lists, of the module multiprocessing_cpp, in Python. Mirrors CPython
// Lib/multiprocessing/managers.py. Floor 10. SPDX-License-Identifier: MIT
#pragma once

namespace multiprocessing::detail::pythons::extension {

// A key of a dict is a text, as C++ has it. Any other key is a text that begins with a zero and has
// Python's repr, which is the same for equal keys: 1, 1.0 and True are 1.
inline constexpr const char* source_of_managers = R"py(
def _literal(key):
    if key is None or type(key) is bytes:
        return key
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int):
        return int(key)
    if isinstance(key, float) and key - key == 0:
        return int(key) if key == int(key) else float(key)
    if type(key) is tuple:
        return tuple(map(_literal, key))
    raise TypeError(f"{key!r} cannot be a key of a manager's dict: that is a str, int, finite float, "
                    "bytes, None, or a tuple of these")

def _key(key):
    if type(key) is str and key[:1] != "\0":
        return key.encode("utf-8", "surrogatepass")
    return ("\0" + repr(_literal(key))).encode("utf-8", "surrogatepass")

def _original(text):
    text = text.decode("utf-8", "surrogatepass")
    if text[:1] != "\0":
        return text
    import ast
    return ast.literal_eval(text[1:])

_missing = object()

@_known
class DictProxy(_Shared):
    """A dict that processes share, in the order of insertion. Values are copies."""
    _kind = "dict"
    _item = "object"

    def __getitem__(self, key):
        value = _dict_get(self._handle, _key(key))
        if value is None:
            raise KeyError(key)
        return _loads(value)

    def __setitem__(self, key, value):
        _dict_set(self._handle, _key(key), _dumps(value))

    def __delitem__(self, key):
        if not _dict_erase(self._handle, _key(key)):
            raise KeyError(key)

    def __contains__(self, key):
        return _dict_contains(self._handle, _key(key))

    def __len__(self):
        return _dict_size(self._handle)

    def __iter__(self):
        return iter(self.keys())

    def get(self, key, default=None):
        value = _dict_get(self._handle, _key(key))
        return default if value is None else _loads(value)

    def setdefault(self, key, default=None):
        return _loads(_dict_setdefault(self._handle, _key(key), _dumps(default)))

    def pop(self, key, default=_missing):
        value = _dict_pop(self._handle, _key(key))
        if value is not None:
            return _loads(value)
        if default is _missing:
            raise KeyError(key)
        return default

    def popitem(self):
        key, value = _dict_popitem(self._handle)
        return _original(key), _loads(value)

    def clear(self):
        _dict_clear(self._handle)

    def update(self, *args, **kwargs):
        """In one step."""
        entries = dict(*(arg.items() if isinstance(arg, DictProxy) else arg for arg in args),
                       **kwargs)
        _dict_update(self._handle, [_key(key) for key in entries],
                     [_dumps(value) for value in entries.values()])

    def items(self):
        return [(_original(key), _loads(value)) for key, value in _dict_items(self._handle)]

    def keys(self):
        return [_original(key) for key, _ in _dict_items(self._handle)]

    def values(self):
        return [_loads(value) for _, value in _dict_items(self._handle)]

    def copy(self):
        return dict(self.items())

    def __repr__(self):
        return f"<DictProxy object, typeid 'dict' at {id(self):#x}>"

    def __str__(self):
        return str(self.copy())

@_known
class ListProxy(_Shared):
    """A list that processes share. Items are copies. Each call is one step."""
    _kind = "list"
    _item = "object"

    def _change(self, change):
        """Calls change(items) with a list, and stores what it has made of that. The list is locked
        meanwhile."""
        def change_pickles(pickles):
            items = [_loads(item) for item in pickles]
            nonlocal result
            result = change(items)
            return [_dumps(item) for item in items]
        result = None
        _list_change(self._handle, change_pickles)
        return result

    def _all(self):
        return [_loads(item) for item in _list_slice(self._handle, 0, sys.maxsize)]

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._all()[index]
        return _loads(_list_at(self._handle, index))

    def __setitem__(self, index, value):
        if not isinstance(index, slice):
            _list_set(self._handle, index, _dumps(value))
            return
        value = list(value)
        self._change(lambda items: items.__setitem__(index, value))

    def __delitem__(self, index):
        if isinstance(index, slice):
            self._change(lambda items: items.__delitem__(index))
        else:
            _list_erase(self._handle, index)

    def __len__(self):
        return _list_size(self._handle)

    def __contains__(self, value):
        return value in self._all()

    def __iter__(self):
        return iter(self._all())

    def __add__(self, other):
        return self._all() + list(other)

    def __mul__(self, times):
        return self._all() * times

    __rmul__ = __mul__

    def __iadd__(self, other):
        self.extend(other)
        return self

    def __imul__(self, times):
        self._change(lambda items: items.__imul__(times))
        return self

    def append(self, value):
        _list_append(self._handle, _dumps(value))

    def extend(self, values):
        _list_splice(self._handle, sys.maxsize, sys.maxsize, [_dumps(value) for value in values])

    def insert(self, index, value):
        _list_splice(self._handle, index, index, [_dumps(value)])

    def pop(self, index=-1):
        return _loads(_list_pop(self._handle, index))

    def remove(self, value):
        self._change(lambda items: items.remove(value))

    def index(self, value, start=0, stop=sys.maxsize):
        return self._all().index(value, start, stop)

    def count(self, value):
        return self._all().count(value)

    def reverse(self):
        self._change(lambda items: items.reverse())

    def sort(self, *, key=None, reverse=False):
        self._change(lambda items: items.sort(key=key, reverse=reverse))

    def clear(self):
        _list_splice(self._handle, 0, sys.maxsize, [])

    def copy(self):
        return self._all()

    def __repr__(self):
        return f"<ListProxy object, typeid 'list' at {id(self):#x}>"

    def __str__(self):
        return str(self._all())

@_known
class NamespaceProxy(_Shared):
    """Values that processes share, as attributes. C++ gets each as a mp::pickle::object."""
    _kind = "Namespace"
    _item = "object"

    def __getattr__(self, name):
        if name[:1] != "_":
            try:
                return _loads(_namespace_get(self._handle, name.encode()))
            except KeyError:
                pass
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        if name[:1] == "_":
            return object.__setattr__(self, name, value)
        _namespace_set(self._handle, name.encode(), _dumps(value))

    def __delattr__(self, name):
        if name[:1] == "_":
            return object.__delattr__(self, name)
        try:
            _namespace_del(self._handle, name.encode())
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self):
        return f"<NamespaceProxy object, typeid 'Namespace' at {id(self):#x}>"

    def __str__(self):
        names = sorted(name.decode() for name in _namespace_names(self._handle))
        return f"Namespace({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

class _Manager:
    """Makes what processes share. Its dicts and lists end with shutdown(), or with the manager in
    the process that made it. There is no server process."""

    def __init__(self):
        import os
        self._state = _manager_new()
        self._owner = os.getpid()

    def dict(self, *args, **kwargs):
        made = DictProxy.__new__(DictProxy)._take(_dict_new(self._up()), "object")
        if args or kwargs:
            made.update(*args, **kwargs)
        return made

    def list(self, items=()):
        made = ListProxy.__new__(ListProxy)._take(_list_new(self._up()), "object")
        made.extend(items)
        return made

    def Namespace(self, **kwargs):
        made = NamespaceProxy.__new__(NamespaceProxy)._take(_namespace_new(self._up()), "object")
        for name, value in kwargs.items():
            setattr(made, name, value)
        return made

    def _up(self):
        if _manager_is_down(self._state):
            raise ValueError("the manager was shut down")
        return self._state

    def shutdown(self):
        import os
        if os.getpid() == self._owner:
            _manager_shutdown(self._state)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.shutdown()

    def __del__(self):
        try:
            self.shutdown()
        except Exception:
            pass  # the interpreter ends

def _made_by_manager(make):
    def made(self, *args, **kwargs):
        self._up()
        return make(*args, **kwargs)
    return made

for _make in (Queue, JoinableQueue, Lock, RLock, Semaphore, BoundedSemaphore, Condition, Event,
              Barrier, Value, Array):
    setattr(_Manager, _make.__name__, _made_by_manager(_make))

def Manager():
    return _Manager()
)py";

}  // namespace multiprocessing::detail::pythons::extension
