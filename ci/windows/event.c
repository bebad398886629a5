/* Tells a program what Windows tells it when its console is closed (2) or the system is shut down (6): event.exe NAME EVENT. No function
   does: the system has each process run CtrlRoutine in a new thread, and so does this. */

#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <tlhelp32.h>

int main(int count, char **words)
{
    PROCESSENTRY32 entry = { .dwSize = sizeof entry };
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    FARPROC routine = GetProcAddress(GetModuleHandleA("kernelbase.dll"), "CtrlRoutine");
    if (count != 3 || !routine) return 1;
    for (BOOL more = Process32First(all, &entry); more; more = Process32Next(all, &entry)) {
        if (_stricmp(entry.szExeFile, words[1]) != 0) continue;
        HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, entry.th32ProcessID);
        /* Libraries of the system are at the same address in every process. */
        HANDLE thread = CreateRemoteThread(process, NULL, 0, (LPTHREAD_START_ROUTINE)(void *)routine, (void *)(INT_PTR)atoi(words[2]), 0, NULL);
        return thread ? 0 : 2;
    }
    return 3;
}
