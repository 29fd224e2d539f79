/* A bcryptprimitives.dll for tests under a wine that lacks it. Windows has it
 * since 8, and the program takes its random numbers from there; here they come
 * from the older RtlGenRandom of advapi32, which is exported as
 * SystemFunction036. Never shipped.
 */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    while (length > 0) {
        ULONG part = length > 0x10000000 ? 0x10000000 : (ULONG)length;
        if (!SystemFunction036(buffer, part))
            return FALSE;
        buffer += part;
        length -= part;
    }
    return TRUE;
}
