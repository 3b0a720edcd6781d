/* A stand-in for libnvidia-ml.so.1: the functions RemoteGPU's agent calls, with two GPUs.
 *
 * GPU 0 is a healthy data-centre card without a fan; GPU 1 is a worn one: ECC errors, a pending row remap, an
 * Xid, sentinel values where the driver has nothing to say. The file named by FAKE_NVML_MODE is read on every
 * call, so that a test can change the weather while the process runs:
 *   ok            everything answers            no-driver     initialisation fails
 *   driver-lost   every call fails              gpu-lost      GPU 1 fell off the bus
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7,
       DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, UNKNOWN = 999 };

typedef struct { int index; } gpu_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory2_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process_t;
typedef struct { gpu_t *device; unsigned long long type, data; unsigned gi, ci; } event_t;

static gpu_t gpus[2] = {{0}, {1}};
static int event_set, initialised, registered[2], xid_delivered;

static int mode_is(const char *name) {
    char mode[64] = "ok";
    const char *path = getenv("FAKE_NVML_MODE");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) { if (!fgets(mode, sizeof mode, file)) mode[0] = 0; fclose(file); }
    mode[strcspn(mode, "\n")] = 0;
    return strcmp(mode, name) == 0;
}

static int answer(void) {
    if (!initialised) return UNINITIALIZED;
    return mode_is("driver-lost") ? DRIVER_NOT_LOADED : OK;
}

static int answer_for(gpu_t *gpu) {
    int result = answer();
    if (result) return result;
    return gpu->index == 1 && mode_is("gpu-lost") ? GPU_IS_LOST : OK;
}

#define CHECK(gpu) do { int result = answer_for(gpu); if (result) return result; } while (0)
#define WORN(gpu) ((gpu)->index == 1)

static int copy(char *to, unsigned size, const char *from) { snprintf(to, size, "%s", from); return OK; }

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (mode_is("no-driver") || mode_is("driver-lost")) return DRIVER_NOT_LOADED;
    initialised = 1;
    return OK;
}
int nvmlShutdown(void) { initialised = 0; registered[0] = registered[1] = 0; return OK; }
const char *nvmlErrorString(int code) { (void)code; return "fake error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { int r = answer(); *count = 2; return r; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu_t **gpu) {
    if (index > 1) return INVALID_ARGUMENT;
    *gpu = &gpus[index];
    return answer_for(*gpu);
}
int nvmlSystemGetDriverVersion(char *to, unsigned size) { int r = answer(); return r ? r : copy(to, size, "550.54.15"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12040; return answer(); }
int nvmlDeviceGetUUID(gpu_t *gpu, char *to, unsigned size) {
    CHECK(gpu);
    return copy(to, size, WORN(gpu) ? "GPU-11111111-2222-3333-4444-555555555555" : "GPU-00000000-2222-3333-4444-555555555555");
}
int nvmlDeviceGetName(gpu_t *gpu, char *to, unsigned size) { CHECK(gpu); return copy(to, size, "NVIDIA H100 80GB HBM3"); }
int nvmlDeviceGetVbiosVersion(gpu_t *gpu, char *to, unsigned size) {
    CHECK(gpu);
    return copy(to, size, WORN(gpu) ? "N/A" : "96.00.74.00.01");
}
int nvmlDeviceGetMaxPcieLinkGeneration(gpu_t *gpu, unsigned *value) { CHECK(gpu); *value = 5; return OK; }
int nvmlDeviceGetMaxPcieLinkWidth(gpu_t *gpu, unsigned *value) { CHECK(gpu); *value = WORN(gpu) ? 0xFFFFFFFFu : 16; return OK; }
int nvmlDeviceGetMemoryInfo(gpu_t *gpu, memory_t *memory) {
    CHECK(gpu);
    memory->total = 85520809984ULL; memory->used = 4000000000ULL; memory->free = memory->total - memory->used;
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(gpu_t *gpu, memory2_t *memory) {
    CHECK(gpu);
    if (WORN(gpu)) return INVALID_ARGUMENT; /* as an old driver: the caller falls back to version 1 */
    memory->total = 85520809984ULL; memory->reserved = 500000000ULL; memory->used = 3500000000ULL;
    memory->free = memory->total - memory->used;
    return OK;
}
int nvmlDeviceGetUtilizationRates(gpu_t *gpu, utilization_t *rates) {
    CHECK(gpu);
    rates->gpu = WORN(gpu) ? 0xFFFFFFFFu : 87; rates->memory = 40;
    return OK;
}
int nvmlDeviceGetTemperature(gpu_t *gpu, int sensor, unsigned *value) { CHECK(gpu); (void)sensor; *value = 61; return OK; }
int nvmlDeviceGetPowerUsage(gpu_t *gpu, unsigned *value) { CHECK(gpu); *value = WORN(gpu) ? 0xFFFFFFFFu : 412345; return OK; }
int nvmlDeviceGetEnforcedPowerLimit(gpu_t *gpu, unsigned *value) { CHECK(gpu); *value = 700000; return WORN(gpu) ? UNKNOWN : OK; }
int nvmlDeviceGetFanSpeed(gpu_t *gpu, unsigned *value) {
    CHECK(gpu);
    *value = 45;
    return WORN(gpu) ? OK : NOT_SUPPORTED;
}
int nvmlDeviceGetClockInfo(gpu_t *gpu, int kind, unsigned *value) { CHECK(gpu); (void)kind; *value = 1980; return OK; }
int nvmlDeviceGetTotalEccErrors(gpu_t *gpu, int kind, int counter, unsigned long long *value) {
    CHECK(gpu);
    if (kind != 1 || counter != 0) return INVALID_ARGUMENT; /* uncorrected, since the driver was loaded */
    *value = WORN(gpu) ? 3 : 0;
    return OK;
}
int nvmlDeviceGetRemappedRows(gpu_t *gpu, unsigned *corr, unsigned *unc, unsigned *pending, unsigned *failed) {
    CHECK(gpu);
    *corr = 1; *unc = 0; *pending = WORN(gpu); *failed = 0;
    return OK;
}
static int processes(unsigned *count, process_t *list, unsigned first_pid, unsigned how_many) {
    if (*count < how_many) { *count = how_many; return INSUFFICIENT_SIZE; }
    *count = how_many;
    for (unsigned i = 0; i < how_many; i++) { memset(&list[i], 0, sizeof list[i]); list[i].pid = first_pid + i; }
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(gpu_t *gpu, unsigned *count, process_t *list) {
    CHECK(gpu);
    return processes(count, list, 1000, WORN(gpu) ? 0 : 2);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(gpu_t *gpu, unsigned *count, process_t *list) {
    CHECK(gpu);
    return processes(count, list, 1001, WORN(gpu) ? 0 : 1); /* 1001 computes and draws: one process */
}
int nvmlEventSetCreate(int **set) { *set = &event_set; return answer(); }
int nvmlEventSetFree(int *set) { (void)set; return OK; }
int nvmlDeviceRegisterEvents(gpu_t *gpu, unsigned long long kinds, int *set) {
    CHECK(gpu);
    (void)set;
    if (kinds != 8) return NOT_SUPPORTED;
    registered[gpu->index] = 1;
    return OK;
}
int nvmlEventSetWait_v2(int *set, event_t *event, unsigned timeout_ms) {
    (void)set;
    if (timeout_ms != 0) return INVALID_ARGUMENT; /* the agent must never wait here */
    if (!registered[1] || xid_delivered) return TIMEOUT;
    xid_delivered = 1;
    memset(event, 0, sizeof *event);
    event->device = &gpus[1]; event->type = 8; event->data = 79;
    return OK;
}
