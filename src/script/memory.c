/* The memory cap is enforced only inside protected Lua code. Elsewhere (luv pushing what it read, the scheduler between
 * two tasks) a failed allocation would have nowhere to jump to; what goes over the cap there makes the next allocation
 * of Lua code fail instead, as a plain "not enough memory" error. */
#include "script/vm.h"

#include <stdlib.h>

static bool exceeds(struct script_vm *vm, size_t bytes) {
  if (!vm->memory_capped) return false;
  if (vm->limits != NULL && bytes > vm->limits->memory_bytes_max) {
    vm->limits->refusals++;
    return true;
  }
  return vm->memory_bytes_max != 0 && bytes > vm->memory_bytes_max;
}

static void *allocate(void *context, void *memory, size_t old_bytes, size_t new_bytes) {
  struct script_vm *vm = context;
  if (memory == NULL) old_bytes = 0; /* then it is the kind of object, not a size */
  if (new_bytes == 0) {
    free(memory);
    vm->memory_bytes -= old_bytes;
    return NULL;
  }
  if (new_bytes > old_bytes && exceeds(vm, vm->memory_bytes + (new_bytes - old_bytes))) return NULL;
  void *result = realloc(memory, new_bytes);
  if (result != NULL) vm->memory_bytes = vm->memory_bytes - old_bytes + new_bytes;
  return result;
}

void script_memory_install(struct script_vm *vm) {
  vm->memory_bytes = (size_t)lua_gc(vm->L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(vm->L, LUA_GCCOUNTB);
  lua_setallocf(vm->L, allocate, vm); /* luaL_newstate's allocator is realloc and free, too */
}
