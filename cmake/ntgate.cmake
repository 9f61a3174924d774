# Stubs of NT system services in a CMake build. Needs CMake 3.20 or later.
#
#   include(ntgate)                      # with this directory in CMAKE_MODULE_PATH, or by its path
#   ntgate_add_stubs(<target>
#     LIST <file>                        # a list of services; without it the list built into ntgate
#     [ARCH i386|amd64|arm64]            # default: that of the system that is built for
#     [SHAPE <shape>]                    # default: that of the systems in longest use
#     [ENCODING msvc|gnu]
#     [EMIT <format>]                    # any format of `ntgate gen --emit`; default: coff for Windows, elsewhere elf
#     [OUTPUT <file>])                   # default: <target> with the format's extension, in the binary directory
#
# With EMIT elf or coff, <target> is a static library of the stubs, for target_link_libraries. With EMIT archive,
# elf-archive or implib it is an imported library, for the same. With any other format it is a target that makes the file.
# In each case the target's property NTGATE_OUTPUT is the path of the file.
#
# The program is found once, into the cache variable NTGATE_EXECUTABLE.
#
# The file is made again when the list or the program changes, and written only if its bytes change. Ninja then makes
# nothing of what depends on it; make compares times alone, and runs ntgate again at each build until the file changes.

include_guard(GLOBAL)
cmake_minimum_required(VERSION 3.20)

find_program(NTGATE_EXECUTABLE ntgate DOC "The program ntgate")

# What files of a format are usually called.
function(_ntgate_extension format result)
  set(extensions
    gas .s  masm .asm  nasm .asm  rust .rs  c .h  table .c  packed-table .ld  coff .obj  elf .o  archive .lib
    elf-archive .a  implib .lib  pe .dll  def .def  spec .spec  json .json  csv .csv  syzlang .txt  list .lst  bin .bin)
  list(FIND extensions "${format}" at)
  set(extension ".${format}")
  if(at GREATER_EQUAL 0)
    math(EXPR at "${at} + 1")
    list(GET extensions ${at} extension)
  endif()
  set(${result} "${extension}" PARENT_SCOPE)
endfunction()

# The architecture that is built for: by the compiler's target, and else by the processor and the size of a pointer, since
# an x86_64 builds for i386 too. Empty if it is none of ntgate's.
function(_ntgate_arch result)
  # A project may have a variable of this name.
  set(processor)
  foreach(language C CXX)
    if(CMAKE_${language}_COMPILER_TARGET)
      # x86_64-w64-mingw32
      string(REGEX REPLACE "-.*" "" processor "${CMAKE_${language}_COMPILER_TARGET}")
      break()
    elseif(MSVC AND CMAKE_${language}_COMPILER_ARCHITECTURE_ID)
      set(processor "${CMAKE_${language}_COMPILER_ARCHITECTURE_ID}")
      break()
    endif()
  endforeach()
  if(NOT processor)
    set(processor "${CMAKE_SYSTEM_PROCESSOR}")
  endif()
  string(TOLOWER "${processor}" processor)
  set(arch)
  if(processor MATCHES "^(i[3-6]86|x86)$" OR (processor MATCHES "^(x86_64|amd64|x64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 4))
    set(arch i386)
  elseif(processor MATCHES "^(x86_64|amd64|x64)$")
    set(arch amd64)
  elseif(processor MATCHES "^(aarch64|arm64)$" AND NOT CMAKE_SIZEOF_VOID_P EQUAL 4)
    set(arch arm64)
  endif()
  set(${result} "${arch}" PARENT_SCOPE)
endfunction()

# A language of the project that has an archiver, C if it is there. Empty if there is none.
function(_ntgate_language result)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  set(language)
  foreach(known C CXX ${languages})
    if(known IN_LIST languages AND DEFINED CMAKE_${known}_ARCHIVE_CREATE OR DEFINED CMAKE_${known}_CREATE_STATIC_LIBRARY)
      set(language ${known})
      break()
    endif()
  endforeach()
  set(${result} "${language}" PARENT_SCOPE)
endfunction()

function(ntgate_add_stubs target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LIST;ARCH;SHAPE;ENCODING;EMIT;OUTPUT" "")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "ntgate_add_stubs(${target}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  foreach(keyword ${arg_KEYWORDS_MISSING_VALUES})
    message(FATAL_ERROR "ntgate_add_stubs(${target}): ${keyword} has no value")
  endforeach()
  if(NOT arg_ARCH)
    _ntgate_arch(arg_ARCH)
    if(NOT arg_ARCH)
      message(FATAL_ERROR "ntgate_add_stubs(${target}): there are no stubs for ${CMAKE_SYSTEM_PROCESSOR}; give ARCH")
    endif()
  endif()
  if(NOT arg_EMIT)
    if(APPLE)
      message(FATAL_ERROR "ntgate_add_stubs(${target}): there are no objects for ${CMAKE_SYSTEM_NAME}; give EMIT")
    elseif(WIN32 OR CYGWIN)
      set(arg_EMIT coff)
    else()
      set(arg_EMIT elf)
    endif()
  endif()
  if(NOT NTGATE_EXECUTABLE)
    message(FATAL_ERROR "ntgate_add_stubs(${target}): the program ntgate is not found; set NTGATE_EXECUTABLE to its path")
  endif()

  if(NOT arg_OUTPUT)
    _ntgate_extension("${arg_EMIT}" extension)
    set(arg_OUTPUT "${target}${extension}")
  endif()
  get_filename_component(output "${arg_OUTPUT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")

  # ntgate makes no directories; neither does make.
  get_filename_component(directory "${output}" DIRECTORY)
  file(MAKE_DIRECTORY "${directory}")

  set(command "${NTGATE_EXECUTABLE}" gen)
  # A path of a program is a file to depend on; a name is not.
  set(depends)
  if(IS_ABSOLUTE "${NTGATE_EXECUTABLE}")
    list(APPEND depends "${NTGATE_EXECUTABLE}")
  endif()
  if(arg_LIST)
    get_filename_component(list "${arg_LIST}" ABSOLUTE)
    list(APPEND command "${list}")
    list(APPEND depends "${list}")
  endif()
  list(APPEND command --arch "${arg_ARCH}" --emit "${arg_EMIT}" -o "${output}" --depfile "${output}.d")
  if(arg_SHAPE)
    list(APPEND command --shape "${arg_SHAPE}")
  endif()
  if(arg_ENCODING)
    list(APPEND command --encoding "${arg_ENCODING}")
  endif()

  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${command}
    DEPENDS ${depends}
    DEPFILE "${output}.d"
    COMMENT "Stubs of ${target}"
    VERBATIM)

  if(arg_EMIT MATCHES "^(elf|coff)$")
    set_source_files_properties("${output}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
    add_library(${target} STATIC "${output}")
    # There is nothing to compile; CMake wants to know all the same which archiver to call.
    _ntgate_language(language)
    if(NOT language)
      message(FATAL_ERROR "ntgate_add_stubs(${target}): the project has no language to make a library with; enable C")
    endif()
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE ${language})
  elseif(arg_EMIT MATCHES "^(archive|elf-archive|implib)$")
    add_custom_target(${target}_file DEPENDS "${output}")
    add_library(${target} STATIC IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${output}")
    add_dependencies(${target} ${target}_file)
  else()
    add_custom_target(${target} ALL DEPENDS "${output}")
  endif()
  set_target_properties(${target} PROPERTIES NTGATE_OUTPUT "${output}")
endfunction()
