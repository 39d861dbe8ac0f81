# pj-sandbox as a static program on musl, where that is installed (Debian: musl-tools).
#
# At each start glibc asks the processor what it can do. In a virtual machine each question leaves the machine: 0.3 ms together,
# longer than the kernel takes to start a process. musl asks nothing. Sanitizers and coverage need glibc, and so does a
# machine without musl: then it is the usual dynamic program, equal but for its speed.
option(PJ_SANDBOX_MUSL "link pj-sandbox with musl where there is one" ON)
set(PJ_MUSL_BASE clock.c cleanup.c err.c fs.c mem.c str.c view.c)
set(PJ_MUSL_FLAGS "")

string(REPLACE "-gnu" "-musl" triple "${CMAKE_LIBRARY_ARCHITECTURE}")
find_path(PJ_MUSL_LIB rcrt1.o PATHS /usr/lib/${triple} NO_DEFAULT_PATH)
find_file(PJ_MUSL_SPECS musl-gcc.specs PATHS /usr/lib/${triple} NO_DEFAULT_PATH)
if(PJ_SANDBOX_MUSL AND PJ_MUSL_LIB AND PJ_MUSL_SPECS AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND
   NOT (PJ_SANITIZE OR PJ_TSAN OR PJ_COVERAGE OR PJ_FUZZ))
    # The kernel's own headers, without glibc's beside them.
    set(headers ${CMAKE_CURRENT_BINARY_DIR}/kernel-headers)
    file(MAKE_DIRECTORY ${headers})
    file(CREATE_LINK /usr/include/linux ${headers}/linux SYMBOLIC)
    file(CREATE_LINK /usr/include/asm-generic ${headers}/asm-generic SYMBOLIC)
    file(CREATE_LINK /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/asm ${headers}/asm SYMBOLIC)
    # musl's own macros fail the two conversion warnings; our code is held to them in the builds with glibc.
    set(PJ_MUSL_FLAGS -specs=${PJ_MUSL_SPECS} -idirafter ${headers} -fPIE -Wno-conversion -Wno-sign-conversion)
    message(STATUS "pj-sandbox: static, with musl")
elseif(NOT (PJ_SANITIZE OR PJ_TSAN OR PJ_COVERAGE OR PJ_FUZZ))
    message(STATUS "pj-sandbox: with glibc, which starts 0.5 ms later; install musl-tools")
endif()

function(pj_gcc_file name out)
    execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=${name} OUTPUT_VARIABLE path
        OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(${out} ${path} PARENT_SCOPE)
endfunction()

# Like pj_program(), position independent too: the specs of musl-gcc know no -static-pie, so the start files are named here.
function(pj_musl_program name)
    cmake_parse_arguments(A "" "" "SOURCES" ${ARGN})
    pj_gcc_file(crtbeginS.o begin)
    pj_gcc_file(crtendS.o end)
    pj_gcc_file(libgcc.a gcc)
    add_executable(${name} ${A_SOURCES})
    set_property(TARGET ${name} PROPERTY POSITION_INDEPENDENT_CODE)
    add_library(${name}_musl INTERFACE)
    target_compile_options(${name}_musl INTERFACE ${PJ_MUSL_FLAGS})
    target_link_libraries(${name} PRIVATE pj_flags ${name}_musl) # in this order: the last word counts
    target_link_options(${name} PRIVATE -static-pie -nostdlib -nostartfiles
        ${PJ_MUSL_LIB}/rcrt1.o ${PJ_MUSL_LIB}/crti.o ${begin})
    target_link_libraries(${name} PRIVATE ${PJ_MUSL_LIB}/libc.a ${gcc} ${end} ${PJ_MUSL_LIB}/crtn.o)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
