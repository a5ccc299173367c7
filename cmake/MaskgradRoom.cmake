# Sets <result> to whether a header of src/ says that it is internal.
function(maskgrad_is_internal header result)
  file(STRINGS ${PROJECT_SOURCE_DIR}/src/${header} says REGEX "^// .*Internal to" LIMIT_COUNT 1)
  set(${result} "${says}" PARENT_SCOPE)
endfunction()

# Installs the headers of src/<name>/, but for those that say they are internal.
function(maskgrad_install_headers name)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src
       ${PROJECT_SOURCE_DIR}/src/${name}/*.hpp)
  foreach(header IN LISTS headers)
    maskgrad_is_internal(${header} internal)
    if(NOT internal)
      get_filename_component(folder ${header} DIRECTORY)
      install(FILES ${PROJECT_SOURCE_DIR}/src/${header}
              DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/maskgrad/${folder})
    endif()
  endforeach()
endfunction()

# maskgrad_umbrella(<room> <folder>...): <maskgrad/<room>.hpp> includes all headers in and below these folders of src/,
# but for those that say they are internal. So a new header or folder is in no list.
function(maskgrad_umbrella room)
  set(text "// Written by CMake.\n#pragma once\n\n")
  foreach(folder IN LISTS ARGN)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src
         ${PROJECT_SOURCE_DIR}/src/${folder}/*.hpp)
    foreach(header IN LISTS headers)
      maskgrad_is_internal(${header} internal)
      if(NOT internal)
        string(APPEND text "#include <maskgrad/${header}>\n")
      endif()
    endforeach()
  endforeach()
  set(umbrella ${PROJECT_BINARY_DIR}/include/${room}/maskgrad/${room}.hpp)
  file(CONFIGURE OUTPUT ${umbrella} CONTENT "${text}" @ONLY)
  install(FILES ${umbrella} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/maskgrad)
endfunction()

# maskgrad_room(<name> [PUBLIC <lib>...] [PRIVATE <lib>...])
#
# Builds src/<name>/ as the library maskgrad::<name>. Its headers are found as <maskgrad/<name>/...>
# by itself and by whoever links it. Every room has an include root of its own, so a header of a
# room that is not linked cannot be included: an upward include does not compile.
function(maskgrad_room name)
  cmake_parse_arguments(ROOM "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  set(include_root ${PROJECT_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${include_root}/maskgrad)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${name} ${include_root}/maskgrad/${name} SYMBOLIC)

  set(target maskgrad_${name})
  add_library(${target} STATIC ${sources})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name}_archive)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${include_root}>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PUBLIC ${ROOM_PUBLIC}
                                  PRIVATE $<BUILD_INTERFACE:maskgrad_compile>)
  maskgrad_precompile(${target})
  foreach(library IN LISTS ROOM_PRIVATE)
    if(library MATCHES "^maskgrad_")  # settings of this build, which are not installed
      set(library $<BUILD_INTERFACE:${library}>)
    endif()
    target_link_libraries(${target} PRIVATE ${library})
  endforeach()

  # Operations register themselves when the program starts, so a linker must keep every object of
  # the room, named or not. Users link this target.
  add_library(${target}_whole INTERFACE)
  add_library(maskgrad::${name} ALIAS ${target}_whole)
  set_target_properties(${target}_whole PROPERTIES EXPORT_NAME ${name})
  if(MASKGRAD_SHARED)
    maskgrad_room_of_shared_library(${name} PUBLIC ${ROOM_PUBLIC} PRIVATE ${ROOM_PRIVATE})
    maskgrad_install_headers(${name})
    return()
  endif()
  target_link_libraries(${target}_whole INTERFACE
    $<BUILD_INTERFACE:$<LINK_LIBRARY:WHOLE_ARCHIVE,${target}>>
    $<INSTALL_INTERFACE:$<LINK_LIBRARY:WHOLE_ARCHIVE,maskgrad::${name}_archive>>)

  maskgrad_room_kernels(${name})

  install(TARGETS ${target} ${target}_whole EXPORT maskgradTargets)
  maskgrad_install_headers(${name})
endfunction()
