// Where the signals of a model lie in memory, so that `sim.poke` can show and set those inside a component too.

#include <cstdint>
#include <cstring>

#include "verilated.h"
#include "verilated_syms.h"

extern "C" {

using Visit = void (*)(const char* scope, const char* name, void* data, uint32_t bits, uint32_t bytes, uint32_t elements);

// A model made after this call has time, scopes and signals of its own.
VerilatedContext* inside_context() {
    auto* context = new VerilatedContext;
    Verilated::threadContextp(context);
    return context;
}

void inside_visit(VerilatedContext* context, Visit visit) {
    const VerilatedScopeNameMap* scopes = context->scopeNameMap();
    if (scopes == nullptr) return;
    for (const auto& [scope, info] : *scopes) {
        if (info->varsp() == nullptr) continue;
        for (const auto& [name, var] : *info->varsp()) {
            if (var.isParam() || var.udims() > 1) continue;
            const uint32_t elements = var.udims() == 0 ? 1 : static_cast<uint32_t>(var.elements(1));
            visit(scope, name, var.datap(), var.entBits(), static_cast<uint32_t>(var.totalSize() / elements), elements);
        }
    }
}
}
