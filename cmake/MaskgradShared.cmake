# All rooms as one shared library, for packages: once for each level of x86-64 that is named. The dynamic linker takes
# the highest level that the processor has, from lib/glibc-hwcaps/<level>/ (glibc 2.33 and later).
option(MASKGRAD_SHARED "Build one shared library in place of an archive for each room" OFF)
set(MASKGRAD_LEVELS "x86-64-v3;x86-64-v4" CACHE STRING
    "Levels of x86-64 that the shared library is built for, beside the plain one")

if(MASKGRAD_SHARED AND MASKGRAD_NATIVE)
  message(FATAL_ERROR "MASKGRAD_SHARED builds for every x86-64; it needs MASKGRAD_NATIVE=OFF")
endif()

# maskgrad_room_of_shared_library(<room> [PUBLIC <lib>...] [PRIVATE <lib>...]): maskgrad::<room> is the room's headers and
# the library of all rooms. The room's archive is not built.
function(maskgrad_room_of_shared_library name)
  cmake_parse_arguments(ROOM "" "" "PUBLIC;PRIVATE" ${ARGN})
  set(target maskgrad_${name})
  set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
  target_include_directories(${target}_whole INTERFACE
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include/${name}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target}_whole INTERFACE cxx_std_20)
  target_link_libraries(${target}_whole INTERFACE ${ROOM_PUBLIC} maskgrad_shared)
  install(TARGETS ${target}_whole EXPORT maskgradTargets)
  set_property(GLOBAL APPEND PROPERTY MASKGRAD_ROOMS ${name})
  set(needed ${ROOM_PUBLIC} ${ROOM_PRIVATE})
  list(FILTER needed EXCLUDE REGEX "^maskgrad")
  set_property(GLOBAL APPEND PROPERTY MASKGRAD_NEEDED ${needed})
endfunction()

# maskgrad_shared_library(<target> <level>): compiles the sources of all rooms for this level.
function(maskgrad_shared_library target level)
  add_library(${target} SHARED)
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME maskgrad VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  get_property(rooms GLOBAL PROPERTY MASKGRAD_ROOMS)
  foreach(room IN LISTS rooms)
    get_target_property(sources maskgrad_${room} SOURCES)
    set(objects ${target}_${room})
    add_library(${objects} OBJECT ${sources})
    foreach(what INCLUDE_DIRECTORIES COMPILE_DEFINITIONS)
      set_target_properties(${objects} PROPERTIES ${what} "$<TARGET_PROPERTY:maskgrad_${room},${what}>")
    endforeach()
    # A call within the library goes to the library, whatever the program defines.
    target_compile_options(${objects} PRIVATE $<TARGET_PROPERTY:maskgrad_${room},COMPILE_OPTIONS>
      -march=${level} -fno-semantic-interposition)
    maskgrad_precompile(${objects})
    target_link_libraries(${target} PRIVATE ${objects})
  endforeach()
  target_link_options(${target} PRIVATE -Wl,-Bsymbolic-functions -Wl,--no-undefined)
  get_property(needed GLOBAL PROPERTY MASKGRAD_NEEDED)
  list(REMOVE_DUPLICATES needed)
  target_link_libraries(${target} PRIVATE ${needed})
endfunction()

# Called once all rooms are there.
function(maskgrad_shared_libraries)
  maskgrad_shared_library(maskgrad_shared x86-64)
  set_target_properties(maskgrad_shared PROPERTIES EXPORT_NAME maskgrad)
  install(TARGETS maskgrad_shared EXPORT maskgradTargets
    LIBRARY COMPONENT library NAMELINK_COMPONENT development)
  foreach(level IN LISTS MASKGRAD_LEVELS)
    set(target maskgrad_shared_${level})
    set(folder glibc-hwcaps/${level})
    maskgrad_shared_library(${target} ${level})
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/${folder} NAMELINK_SKIP COMPONENT library)
  endforeach()
endfunction()
