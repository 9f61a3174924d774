#ifndef NTDDI_VERSION
#error NTDDI_VERSION is needed
#endif
#include "others.h"
    SVC_(Close, 1)
